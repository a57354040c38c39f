// The generated alerts on the metrics of the exporter: a real Prometheus raises them in an outage, and ends them.

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { circuitBreaker, fallback, pipeline, retry, retryBudget, timeout } from '@resil/core';
import { instrument } from '@resil/prometheus';
import {
  describeWithPrometheus,
  type PrometheusServer,
  prometheusMissing,
  startPrometheus,
} from '@resil/testbed';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Inspection, operationsKit } from '../src/index.js';
import { survey } from '../src/survey.js';

/** An hour of the alerts becomes 18 seconds, half a minute 0.15. */
const TIME_SCALE = 0.005;
/** Longest wait for an alert, whatever the machine does; a hundred times what it needs. */
const PATIENCE = 90_000;

describeWithPrometheus({ describe, it }, await prometheusMissing(), 'an outage', () => {
  const registry = new Registry();
  const prices = pipeline(
    { name: 'prices', dependency: { critical: true } },
    fallback((error) => {
      throw error;
    }),
    timeout({ duration: 1_000 }),
    retry({ maxAttempts: 2, baseDelay: 1, budget: retryBudget({ ratio: 0.1, minPerSecond: 0 }) }),
    circuitBreaker({ name: 'prices', failureThreshold: 5, resetTimeout: 200 }),
  );
  const stop = instrument({ pipelines: [prices], registry });
  const exporter = createServer((_request, response) => {
    registry.metrics().then((text) => {
      response.setHeader('content-type', registry.contentType).end(text);
    });
  });
  let prometheus: PrometheusServer;
  let down = false;
  let serving = true;

  /** Customers, one every few milliseconds, until the tests are through. */
  async function customers(): Promise<void> {
    while (serving) {
      const work = async (): Promise<number> => {
        if (down) throw new Error('away');
        return 1;
      };
      prices.execute(work).catch(() => {});
      await sleep(5);
    }
  }

  beforeAll(async () => {
    exporter.listen(0, '127.0.0.1');
    await once(exporter, 'listening');
    const service: Inspection = {
      ...survey({ prices }, [prices]),
      service: 'shop',
      file: 'shop.js',
      imports: [],
    };
    const kit = operationsKit(service, { timeScale: TIME_SCALE });
    const { port } = exporter.address() as AddressInfo;
    prometheus = await startPrometheus({
      targets: [`127.0.0.1:${port}`],
      rules: [kit['alerts.yml'] ?? ''],
      interval: 100,
    });
    customers();
  });
  afterAll(async () => {
    serving = false;
    stop();
    await prometheus?.close();
    exporter.closeAllConnections();
    exporter.close();
  });

  const firing = (alert: string): string =>
    `ALERTS{alertname="${alert}",alertstate="firing",dependency="prices",severity="page"}`;

  it.each(['ResilCircuitOpen', 'ResilErrorBudgetBurnsFast'])(
    'raises %s, and ends it after the recovery',
    async (alert) => {
      const calls = 'sum(resil_call_duration_seconds_count)';
      await prometheus.queryUntil(calls, ([one]) => (one?.value ?? 0) > 0, PATIENCE);
      await prometheus.queryUntil(firing(alert), ({ length }) => length === 0, PATIENCE);
      down = true;
      const raised = await prometheus.queryUntil(
        firing(alert),
        ({ length }) => length > 0,
        PATIENCE,
      );
      expect(raised).toHaveLength(1);
      const [told] = (await prometheus.alerts()).filter(({ name }) => name === alert);
      expect(told?.annotations).toMatchObject({ runbook: 'runbooks/prices.md' });
      expect(told?.annotations.summary).toContain('prices');
      down = false;
      const ended = await prometheus.queryUntil(
        firing(alert),
        ({ length }) => length === 0,
        PATIENCE,
      );
      expect(ended).toEqual([]);
    },
    240_000,
  );
});
