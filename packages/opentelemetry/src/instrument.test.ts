import {
  AggregationTemporality,
  MeterProvider,
  type MetricData,
  MetricReader,
} from '@opentelemetry/sdk-metrics';
import { bulkhead, circuitBreaker, keyed, type Pipeline, pipeline, retry } from '@resil/core';
import { type Instrument, instruments } from '@resil/telemetry';
import { VirtualClock } from '@resil/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type InstrumentOptions, instrument } from './instrument.js';

class ManualReader extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

let clock: VirtualClock;
let reader: ManualReader;
let meters: MeterProvider;
let stop: () => void;

beforeEach(() => {
  clock = new VirtualClock();
  reader = new ManualReader();
  meters = new MeterProvider({ readers: [reader] });
});
afterEach(async () => {
  stop?.();
  await meters.shutdown();
});

function start(pipelines: InstrumentOptions['pipelines'], options: InstrumentOptions = {}): void {
  stop = instrument({ pipelines, clock, meter: meters.getMeter('test'), ...options });
}

async function collect(): Promise<ReadonlyMap<string, MetricData>> {
  const { resourceMetrics, errors } = await reader.collect();
  expect(errors).toEqual([]);
  const all = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
  return new Map(all.map((metric) => [metric.descriptor.name, metric]));
}

/** Values of the attributes of each point, that of the pipeline left out, and its value. */
async function valuesOf({ name }: Instrument): Promise<Record<string, unknown>> {
  const points = (await collect()).get(name)?.dataPoints ?? [];
  return Object.fromEntries(
    points.map(({ attributes: { 'resil.pipeline': _name, ...rest }, value }) => [
      Object.values(rest).join(' '),
      value,
    ]),
  );
}

const up = async (): Promise<string> => 'up';
const down = (): Promise<never> => Promise.reject(Object.assign(new Error('x'), { code: 'EDOWN' }));
const fail = (one: Pipeline): Promise<unknown> =>
  clock.runUntilSettled(one.execute(down).catch(() => {}));

describe('instrument', () => {
  it('makes every instrument of the table, with its unit and description', async () => {
    const busy = pipeline(
      'busy',
      retry({ maxAttempts: 2, baseDelay: 100, jitter: 'none', clock }),
      circuitBreaker({ failureThreshold: 5, clock }),
      bulkhead({ maxConcurrentCalls: 5 }),
    );
    start([busy]);
    await fail(busy);
    const metrics = await collect();
    for (const [name, { descriptor }] of metrics) {
      const one = Object.values(instruments).find((candidate) => candidate.name === name);
      expect(descriptor).toMatchObject({ unit: one?.unit, description: one?.description });
    }
    expect(metrics.get('resil.call.duration')?.dataPoints[0]?.value).toMatchObject({
      count: 1,
      sum: 0.1,
      buckets: { boundaries: instruments.callDuration.buckets },
    });
    expect(await valuesOf(instruments.attempts)).toEqual({ first: 1, retry: 1 });
    expect(await valuesOf(instruments.concurrencyLimit)).toEqual({ 'bulkhead bulkhead': 5 });
  });

  it('reads gauges and the time in a state when they are asked for', async () => {
    const orders = pipeline(
      'orders',
      circuitBreaker({ name: 'db', failureThreshold: 1, resetTimeout: 60_000, clock }),
    );
    start([orders]);
    await clock.advance(2_000);
    await fail(orders);
    await clock.advance(3_000);
    expect(await valuesOf(instruments.circuitTime)).toEqual({ 'db closed': 2, 'db open': 3 });
    await clock.advance(1_000);
    expect(await valuesOf(instruments.circuitTime)).toEqual({ 'db closed': 2, 'db open': 4 });
    expect(await valuesOf(instruments.circuitState)).toMatchObject({
      'db open': 1,
      'db closed': 0,
    });
    await clock.advance(60_000);
    await orders.execute(up);
    const recovery = (await collect()).get('resil.circuit.recovery.duration');
    expect(recovery?.dataPoints[0]?.value).toMatchObject({ count: 1, sum: 64 });
  });

  it('gives counters as differences to who asks for those', async () => {
    reader = new ManualReader({
      aggregationTemporalitySelector: () => AggregationTemporality.DELTA,
    });
    await meters.shutdown();
    meters = new MeterProvider({ readers: [reader] });
    const quotes = pipeline('quotes');
    start([quotes]);
    await quotes.execute(up);
    expect(await valuesOf(instruments.attempts)).toEqual({ first: 1 });
    for (let call = 0; call < 3; call++) await quotes.execute(up);
    expect(await valuesOf(instruments.attempts)).toEqual({ first: 3 });
  });

  it('keeps within the bound, whatever the keys', async () => {
    const shards = keyed((key) => pipeline({ name: 'shards', key }), { maxKeys: 3_000 });
    start([shards], { maxKeys: 3_000, maxSeries: 50 });
    for (let key = 0; key < 3_000; key++) await shards.execute(`tenant-${key}`, up);
    for (const { dataPoints } of (await collect()).values()) {
      expect(dataPoints.length).toBeLessThanOrEqual(50);
      for (const { attributes } of dataPoints) {
        expect(attributes).not.toHaveProperty('otel.metric.overflow');
      }
    }
    const counts = Object.values(await valuesOf(instruments.attempts)) as number[];
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(3_000);
  });

  it('measures nothing any more once it is stopped', async () => {
    const quotes = pipeline('quotes');
    start([quotes]);
    await quotes.execute(up);
    stop();
    await quotes.execute(up);
    const metrics = await collect();
    expect(metrics.get('resil.call.duration')?.dataPoints[0]?.value).toMatchObject({ count: 1 });
    expect(metrics.get('resil.call.in_flight')?.dataPoints ?? []).toEqual([]);
  });

  it('goes without a provider, without metrics, and without span events', async () => {
    for (const options of [{}, { meter: false }, { spanEvents: false }] as const) {
      const end = instrument(options);
      expect(await pipeline('quotes').execute(up)).toBe('up');
      end();
    }
  });

  it('refuses what is not an option', () => {
    expect(() => start([], { meter: {} as never })).toThrow('instrument.meter must be a meter, or');
    expect(() => start([], { spanEvents: 'all' as never })).toThrow('instrument.spanEvents');
    expect(() => start([], { maxSeries: 1 })).toThrow('instrument.maxSeries');
    expect(() => start([], { maxkeys: 1 } as never)).toThrow('instrument.maxkeys is not an option');
  });
});
