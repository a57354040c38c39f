import { bulkhead, circuitBreaker, keyed, type Pipeline, pipeline, retry } from '@resil/core';
import { instruments, prometheusName } from '@resil/telemetry';
import { VirtualClock } from '@resil/testing';
import { Counter, Registry, register } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type InstrumentOptions, instrument } from './instrument.js';

let clock: VirtualClock;
let registry: Registry;
let stop: () => void;

beforeEach(() => {
  clock = new VirtualClock();
  registry = new Registry();
  stop = () => {};
});
afterEach(() => stop());

function start(pipelines: InstrumentOptions['pipelines'], options: InstrumentOptions = {}): void {
  stop = instrument({ pipelines, clock, registry, ...options });
}

/** The lines of a metric, comments left out. */
async function linesOf(name: string): Promise<string[]> {
  const text = await registry.getSingleMetricAsString(name);
  return text.split('\n').filter((line) => !line.startsWith('#'));
}

const up = async (): Promise<string> => 'up';
const down = (): Promise<never> => Promise.reject(Object.assign(new Error('x'), { code: 'EDOWN' }));
const fail = (one: Pipeline): Promise<unknown> =>
  clock.runUntilSettled(one.execute(down).catch(() => {}));

describe('instrument', () => {
  it('registers every metric of the table, with its type and help', async () => {
    start([]);
    const text = await registry.metrics();
    for (const one of Object.values(instruments)) {
      const name = prometheusName(one);
      expect(text).toContain(`# HELP ${name} ${one.description}\n# TYPE ${name} ${one.kind}\n`);
    }
    expect(registry.getMetricsAsArray()).toHaveLength(Object.keys(instruments).length);
  });

  it('prints counters and gauges', async () => {
    const orders = pipeline(
      'orders',
      retry({ maxAttempts: 2, baseDelay: 100, jitter: 'none', clock }),
      circuitBreaker({ name: 'db', failureThreshold: 2, resetTimeout: 60_000, clock }),
      bulkhead({ name: 'slots', maxConcurrentCalls: 7 }),
    );
    start([orders]);
    await fail(orders);
    await clock.advance(5_000);
    expect(await linesOf('resil_call_attempts_total')).toEqual([
      'resil_call_attempts_total{resil_pipeline="orders",resil_attempt_kind="first"} 1',
      'resil_call_attempts_total{resil_pipeline="orders",resil_attempt_kind="retry"} 1',
    ]);
    const db = 'resil_pipeline="orders",resil_strategy="db"';
    expect(await linesOf('resil_circuit_state')).toEqual([
      `resil_circuit_state{${db},resil_state="closed"} 0`,
      `resil_circuit_state{${db},resil_state="open"} 1`,
      `resil_circuit_state{${db},resil_state="half-open"} 0`,
      `resil_circuit_state{${db},resil_state="isolated"} 0`,
    ]);
    expect(await linesOf('resil_circuit_duration_seconds_total')).toEqual([
      `resil_circuit_duration_seconds_total{${db},resil_state="closed"} 0.1`,
      `resil_circuit_duration_seconds_total{${db},resil_state="open"} 5`,
    ]);
    expect(await linesOf('resil_concurrency_limit')).toEqual([
      'resil_concurrency_limit{resil_pipeline="orders",resil_layer="bulkhead",resil_strategy="slots"} 7',
    ]);
  });

  it('prints histograms with rising buckets, a sum and a count', async () => {
    const quotes = pipeline({ name: 'quotes', clock });
    start([quotes]);
    const taking = (duration: number) =>
      clock.runUntilSettled(
        quotes.execute(() => new Promise<void>((resolve) => clock.schedule(resolve, duration))),
      );
    for (const duration of [4, 60, 60, 20_000]) await taking(duration);
    const lines = await linesOf('resil_call_duration_seconds');
    const bucket = (le: string) =>
      lines
        .find((line) => line.includes(`le="${le}"`))
        ?.split(' ')
        .at(-1);
    expect([
      bucket('0.005'),
      bucket('0.05'),
      bucket('0.075'),
      bucket('10'),
      bucket('+Inf'),
    ]).toEqual(['1', '1', '3', '3', '4']);
    const labels = '{resil_pipeline="quotes",resil_outcome="succeeded"}';
    expect(lines.slice(-2)).toEqual([
      `resil_call_duration_seconds_sum${labels} 20.124`,
      `resil_call_duration_seconds_count${labels} 4`,
    ]);
  });

  it('escapes what pipelines are called', async () => {
    const odd = pipeline('a "name" with \\ and\na line');
    start([odd]);
    await odd.execute(up);
    expect((await linesOf('resil_call_attempts_total'))[0]).toContain(
      'resil_pipeline="a \\"name\\" with \\\\ and\\na line"',
    );
  });

  it('prints OpenMetrics where that is asked for, also as JSON', async () => {
    registry.setContentType('application/openmetrics-text; version=1.0.0; charset=utf-8' as never);
    const quotes = pipeline('quotes');
    start([quotes]);
    await quotes.execute(up);
    const text = await registry.metrics();
    expect(text).toContain('# TYPE resil_call_attempts counter\n');
    expect(text).toContain(
      'resil_call_attempts_total{resil_pipeline="quotes",resil_attempt_kind="first"} 1',
    );
    expect(text.endsWith('# EOF\n')).toBe(true);
    const json = await registry.getMetricsAsJSON();
    expect(json.find(({ name }) => name === 'resil_call_in_flight')).toMatchObject({
      type: 'gauge',
      values: [{ value: 0, labels: { resil_pipeline: 'quotes' } }],
    });
  });

  it('keeps within the bound, whatever the keys', async () => {
    const shards = keyed((key) => pipeline({ name: 'shards', key }), { maxKeys: 3_000 });
    start([shards], { maxKeys: 3_000, maxSeries: 50 });
    for (let key = 0; key < 3_000; key++) await shards.execute(`tenant-${key}`, up);
    const lines = await linesOf('resil_call_attempts_total');
    expect(lines).toHaveLength(50);
    expect(lines.at(-1)).toContain('{resil_pipeline="other",resil_key="other"');
    const sum = lines.reduce((total, line) => total + Number(line.split(' ').at(-1)), 0);
    expect(sum).toBe(3_000);
  });

  it('uses the registry of prom-client, and takes its metrics out again', async () => {
    const mine = new Counter({ name: 'mine', help: 'mine' });
    const end = instrument();
    expect(register.getSingleMetric('resil_call_attempts_total')).toBeDefined();
    end();
    expect(register.getMetricsAsArray()).toEqual([mine]);
    register.clear();
  });

  it('leaves nothing behind where a metric is there already', () => {
    start([]);
    expect(() => instrument({ registry })).toThrow('has already been registered');
    expect(registry.getMetricsAsArray()).toHaveLength(Object.keys(instruments).length);
    const half = new Registry();
    new Counter({ name: 'resil_refusals_total', help: 'theirs', registers: [half] });
    expect(() => instrument({ registry: half })).toThrow('has already been registered');
    expect(half.getMetricsAsArray().map(({ name }) => name)).toEqual(['resil_refusals_total']);
  });

  it('refuses what is not an option', () => {
    expect(() => start([], { registry: {} as Registry })).toThrow(
      'instrument.registry must be a registry of prom-client',
    );
    expect(() => start([], { maxValues: 0 })).toThrow('instrument.maxValues');
  });
});
