// A real Prometheus scrapes a real service, and its alerts follow a circuit.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { circuitBreaker, pipeline } from '@resil/core';
import { instruments, prometheusName } from '@resil/telemetry';
import {
  describeWithPrometheus,
  type PrometheusServer,
  prometheusMissing,
  startPrometheus,
} from '@resil/testbed';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { instrument } from '../src/index.js';

const RULES = JSON.stringify({
  groups: [
    {
      name: 'resil',
      rules: [
        {
          alert: 'CircuitOpen',
          expr: `max by (resil_pipeline, resil_strategy) (${prometheusName(instruments.circuitState)}{resil_state=~"open|half-open|isolated"}) > 0`,
          annotations: { summary: '{{ $labels.resil_strategy }} of {{ $labels.resil_pipeline }}' },
        },
        {
          record: 'resil:calls:p90',
          expr: `histogram_quantile(0.9, sum by (le) (${prometheusName(instruments.callDuration)}_bucket))`,
        },
      ],
    },
  ],
});

describeWithPrometheus({ describe, it }, await prometheusMissing(), 'scraped by Prometheus', () => {
  const registry = new Registry();
  const orders = pipeline(
    'orders',
    circuitBreaker({ name: 'db', failureThreshold: 3, resetTimeout: 3_600_000 }),
  );
  const stop = instrument({ pipelines: [orders], registry });
  const service = createServer((_request, response) => {
    registry.metrics().then((text) => {
      response.setHeader('content-type', registry.contentType).end(text);
    });
  });
  let prometheus: PrometheusServer;
  let address: string;

  beforeAll(async () => {
    service.listen(0, '127.0.0.1');
    await once(service, 'listening');
    address = `127.0.0.1:${(service.address() as AddressInfo).port}`;
    prometheus = await startPrometheus({ targets: [address], rules: [RULES] });
  });
  afterAll(async () => {
    stop();
    await prometheus?.close();
    service.closeAllConnections();
    service.close();
  });

  it('is understood, and counted', async () => {
    for (let call = 0; call < 20; call++) await orders.execute(async () => 'row');
    const name = `${prometheusName(instruments.callDuration)}_count`;
    const [sample] = await prometheus.queryUntil(name, ([one]) => one?.value === 20);
    expect(sample).toMatchObject({
      value: 20,
      labels: { resil_pipeline: 'orders', resil_outcome: 'succeeded', instance: address },
    });
    expect(await prometheus.targets()).toEqual({ [address]: 'up' });
    const [p90] = await prometheus.queryUntil('resil:calls:p90', ([one]) => (one?.value ?? 0) > 0);
    expect(p90?.value).toBeLessThanOrEqual(10);
    const kinds = await fetch(`${prometheus.url}/api/v1/metadata`);
    const { data } = (await kinds.json()) as { data: Record<string, { type: string }[]> };
    for (const one of Object.values(instruments)) {
      expect(data[prometheusName(one)]?.[0]?.type).toBe(one.kind);
    }
  });

  it('fires an alert when a circuit opens, and resolves it when that has closed', async () => {
    for (let call = 0; call < 3; call++) {
      await orders.execute(() => Promise.reject(new Error('down'))).catch(() => {});
    }
    await prometheus.queryUntil('ALERTS{alertstate="firing"}', ({ length }) => length > 0);
    expect(await prometheus.alerts()).toEqual([
      {
        name: 'CircuitOpen',
        state: 'firing',
        labels: { resil_pipeline: 'orders', resil_strategy: 'db' },
        annotations: { summary: 'db of orders' },
      },
    ]);
    const [breaker] = orders.layers;
    (breaker as ReturnType<typeof circuitBreaker>).reset();
    await prometheus.queryUntil('ALERTS', ({ length }) => length === 0);
    expect(await prometheus.alerts()).toEqual([]);
    const recoveries = `${prometheusName(instruments.circuitRecovery)}_count`;
    const [sample] = await prometheus.queryUntil(recoveries, ([one]) => one?.value === 1);
    expect(sample?.value).toBe(1);
  });
});
