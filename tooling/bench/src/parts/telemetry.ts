/**
 * What listeners cost a call: none, metrics by OpenTelemetry and by Prometheus, and logs. Each pipeline has
 * its own listener, so that the others stand beside it without one.
 */
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { keyed, type Pipeline, pipeline } from '@resil/core';
import { instrument as instrumentOpenTelemetry, metricProducer } from '@resil/opentelemetry';
import { instrument as instrumentPrometheus } from '@resil/prometheus';
import { logEvents } from '@resil/telemetry';
import { Registry } from 'prom-client';
import { answer, ours, through } from '../contenders.js';
import { costTable } from '../cost-table.js';
import type { Part } from '../part.js';
import { nanoseconds } from '../report.js';
import { awaitEach, type Contender, measure } from '../rounds.js';

const NONE = 'no listener';
const CONTROL = 'no listener, A/A';
const STOPPED = 'a listener that was taken off';
const EMPTY = 'a listener that does nothing';
const METER = 'OpenTelemetry, a meter';
const PRODUCER = 'OpenTelemetry, metricProducer()';
const PROMETHEUS = 'Prometheus';
const LOGS = 'logs';

const KEYS = 10_000;
const MAX_SERIES = 1_000;

class ManualReader extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

/** Adds a listener to a pipeline; gives what takes it off. */
type Attach = (pipelines: readonly Pipeline[]) => () => void;

const silent = (): void => {};
const logger = { debug: silent, info: silent, warn: silent, error: silent };

export const telemetry: Part = async (progress) => {
  const reader = new ManualReader();
  const meter = new MeterProvider({ readers: [reader] }).getMeter('bench');
  const attach: Readonly<Record<string, Attach>> = {
    [NONE]: () => silent,
    [CONTROL]: () => silent,
    [STOPPED]: (pipelines) => {
      instrumentPrometheus({ pipelines, registry: new Registry() })();
      return silent;
    },
    [EMPTY]: ([one]) => one?.on(silent) ?? silent,
    [METER]: (pipelines) => instrumentOpenTelemetry({ pipelines, meter }),
    [PRODUCER]: (pipelines) => {
      const producer = metricProducer({ pipelines });
      const stop = instrumentOpenTelemetry({ pipelines, meter: false });
      return () => {
        producer.stop();
        stop();
      };
    },
    [PROMETHEUS]: (pipelines) => instrumentPrometheus({ pipelines, registry: new Registry() }),
    [LOGS]: (pipelines) => logEvents(logger, { pipelines }),
  };
  const ends: (() => void)[] = [];
  const contenders: Contender[] = Object.entries(attach).map(([name, listen]) => {
    const layers = [ours.retry(), ours.circuitBreaker(), ours.bulkhead(), ours.timeout()];
    const one = pipeline('bench', ...layers);
    ends.push(listen([one]));
    return through(name, one);
  });
  progress(`${contenders.length} contenders`);
  const measured = await measure(contenders, { rounds: 31 });
  const table = await costTable('Four patterns with listeners', contenders, measured, NONE);
  const recorded = (await reader.collect()).resourceMetrics.scopeMetrics.length;
  if (recorded !== 1) throw new Error('OpenTelemetry has recorded nothing');
  for (const end of ends) end();

  progress(`${KEYS} keys`);
  const series = await seriesOfKeys();
  const extra = (name: string): number => measured.extra(name, NONE);
  const share = measured.ratio(STOPPED, NONE) - 1;
  const noise = Math.abs(measured.ratio(CONTROL, NONE) - 1);
  return {
    tables: [table],
    targets: [
      {
        claim: 'no listener (any more): at most 5 % beyond the A/A control',
        measured: `${percent(share)} (A/A ${percent(noise)})`,
        reached: share <= noise + 0.05,
      },
      ...[METER, PRODUCER, PROMETHEUS].map((name) => ({
        claim: `${name}: at most 1 µs a call`,
        measured: nanoseconds(extra(name)),
        reached: extra(name) <= 1_000,
      })),
      {
        claim: `${KEYS.toLocaleString('en-US')} keys shown: at most ${MAX_SERIES.toLocaleString('en-US')} series of a metric`,
        measured: `${series}`,
        reached: series <= MAX_SERIES,
      },
    ],
  };
};

/** The most series that a metric has after a call with each of many keys, all of which may be shown. */
async function seriesOfKeys(): Promise<number> {
  const registry = new Registry();
  const tenants = keyed((key) => pipeline({ name: 'tenants', key }, ours.circuitBreaker()), {
    maxKeys: KEYS,
  });
  const stop = instrumentPrometheus({
    pipelines: [tenants],
    registry,
    maxKeys: KEYS,
    maxSeries: MAX_SERIES,
  });
  let key = 0;
  await awaitEach(() => tenants.execute(`tenant-${key++}`, answer), KEYS);
  const counts = new Map<string, Set<string>>();
  for (const line of (await registry.metrics()).split('\n')) {
    const [, name, labels] = /^(\w+)\{(.*)\}/.exec(line) ?? [];
    if (name === undefined || labels === undefined) continue;
    const own = counts.get(name) ?? new Set();
    counts.set(name, own.add(labels.replace(/le="[^"]*",/, '')));
  }
  stop();
  return Math.max(...[...counts.values()].map(({ size }) => size));
}

function percent(share: number): string {
  const rounded = Math.round(Math.abs(share * 100));
  return `${rounded === 0 ? '±' : share < 0 ? '−' : '+'}${rounded} %`;
}
