import {
  adaptiveLimiter,
  bulkhead,
  type Call,
  cache,
  circuitBreaker,
  coalesce,
  failover,
  fallback,
  hedge,
  keyed,
  type Pipeline,
  pipeline,
  type ResilienceEvent,
  type ResilienceEventInput,
  rateLimiter,
  retry,
  retryBudget,
  throttle,
  timeout,
} from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Collector, type TelemetryOptions } from './collector.js';
import { type InstrumentId, instruments } from './instruments.js';
import { measureEvent } from './measure-event.js';
import type { Series } from './series.js';

let clock: VirtualClock;
let collector: Collector;

beforeEach(() => {
  clock = new VirtualClock();
});
afterEach(() => collector.stop());

function collect(pipelines: TelemetryOptions['pipelines'], options: TelemetryOptions = {}): void {
  collector = new Collector({ pipelines, clock, ...options });
}

function seriesOf(id: InstrumentId): readonly Series[] {
  return collector.read().find(({ instrument }) => instrument === instruments[id])?.series ?? [];
}

/** Values of the attributes of each series, the pipeline's name left out, and its value. */
function valuesOf(id: InstrumentId): Record<string, number> {
  return Object.fromEntries(
    seriesOf(id).map(({ attributes: { 'resil.pipeline': _name, ...rest }, value }) => [
      Object.values(rest).join(' '),
      value,
    ]),
  );
}

const up = async (): Promise<string> => 'up';
const down = (): Promise<never> =>
  Promise.reject(Object.assign(new Error('a secret'), { code: 'EDOWN' }));
const swallow = (call: Promise<unknown>): Promise<unknown> => call.catch(() => {});

/** Runs a call to its end on the virtual clock. */
function run(pipelineOrKey: Pipeline, operation: () => Promise<unknown>): Promise<unknown> {
  return clock.runUntilSettled(swallow(pipelineOrKey.execute(operation)));
}

describe('Collector', () => {
  it('measures calls by how they end, and attempts by why they are made', async () => {
    const quotes = pipeline(
      'quotes',
      retry({ name: 'again', maxAttempts: 3, baseDelay: 100, jitter: 'none', clock }),
    );
    collect([quotes]);
    await run(quotes, up);
    await run(quotes, down);
    const calls = seriesOf('callDuration');
    expect(calls.map(({ attributes }) => attributes)).toEqual([
      { 'resil.pipeline': 'quotes', 'resil.outcome': 'succeeded' },
      { 'resil.pipeline': 'quotes', 'resil.outcome': 'failed', 'error.type': 'EDOWN' },
    ]);
    expect(calls.map(({ count, value }) => [count, value])).toEqual([
      [1, 0],
      [1, 0.3],
    ]);
    // 300 ms lie in the bucket up to 0.5 s.
    expect(calls[1]?.counts.indexOf(1)).toBe(instruments.callDuration.buckets?.indexOf(0.5));
    expect(valuesOf('attempts')).toEqual({ first: 2, retry: 2 });
    expect(valuesOf('retryDelay')).toEqual({ 'again EDOWN': 0.1 + 0.2 });
    expect(valuesOf('retriesExhausted')).toEqual({ 'again attempts': 1 });
  });

  it('measures refusals by layer and reason, and those that were only observed', async () => {
    const guarded = pipeline(
      'orders',
      circuitBreaker({ name: 'db', failureThreshold: 1, resetTimeout: 1_000, clock }),
      bulkhead({ name: 'slots', maxConcurrentCalls: 1, maxQueueSize: 0 }),
    );
    const observed = pipeline(
      'orders',
      bulkhead({ name: 'slots', maxConcurrentCalls: 1, maxQueueSize: 0, mode: 'observe' }),
    );
    collect([guarded, observed]);
    for (const one of [guarded, observed]) {
      let release = (): void => {};
      const running = one.execute(() => new Promise<void>((resolve) => (release = resolve)));
      await swallow(one.execute(up));
      release();
      await running;
    }
    await run(guarded, down);
    await run(guarded, up);
    expect(valuesOf('refusals')).toEqual({
      'bulkhead slots full enforce': 1,
      'bulkhead slots full observe': 1,
      'circuit_breaker db open enforce': 1,
    });
    expect(valuesOf('circuitTransitions')).toEqual({ 'db open failures enforce': 1 });
    expect(valuesOf('circuitState')).toEqual({
      'db closed': 0,
      'db open': 1,
      'db half-open': 0,
      'db isolated': 0,
    });
  });

  it('shows what is in use, what is allowed, what waits, and how long that took', async () => {
    const slots = bulkhead({ name: 'slots', maxConcurrentCalls: 1, maxQueueSize: 5 });
    const limited = pipeline(
      'orders',
      slots,
      adaptiveLimiter({ name: 'limit', clock }),
      rateLimiter({ name: 'rate', maxCalls: 10, interval: 1_000, clock }),
      throttle({ name: 'throttle', clock }),
    );
    collect([limited]);
    let release = (): void => {};
    const first = limited.execute(() => new Promise<void>((resolve) => (release = resolve)));
    const second = limited.execute(up);
    await clock.advance(250);
    expect(valuesOf('callsInFlight')).toEqual({ '': 2 });
    expect(valuesOf('concurrencyInUse')).toEqual({
      'bulkhead slots': 1,
      'adaptive_limiter limit': 1,
    });
    expect(valuesOf('concurrencyLimit')).toEqual({
      'bulkhead slots': 1,
      'adaptive_limiter limit': limited.describe().layers[1]?.state.limit,
    });
    expect(valuesOf('queueLength')).toEqual({
      'bulkhead slots': 1,
      'adaptive_limiter limit': 0,
      'rate_limiter rate': 0,
    });
    expect(valuesOf('queueLimit')['bulkhead slots']).toBe(5);
    expect(valuesOf('rateAvailable')).toEqual({
      rate: limited.describe().layers[2]?.state.available,
    });
    expect(valuesOf('throttleRatio')).toEqual({ throttle: 0 });
    release();
    await Promise.all([first, second]);
    expect(valuesOf('queueDuration')).toEqual({ 'bulkhead slots': 0.25 });
  });

  it('shows the least that is left of a budget', async () => {
    const shared = retryBudget({
      name: 'shared',
      ratio: 0.5,
      minPerSecond: 1,
      window: { duration: 1_000 },
      clock,
    });
    const quotes = pipeline(
      'quotes',
      retry({ maxAttempts: 2, baseDelay: 1, budget: shared, clock }),
    );
    collect([quotes]);
    expect(valuesOf('budgetLeft')).toEqual({ shared: shared.balance });
    for (let call = 0; call < 5; call++) await run(quotes, down);
    await clock.advance(0);
    expect(valuesOf('budgetLeft')).toEqual({ shared: shared.balance });
    expect(valuesOf('budgetExhausted')['shared retry window']).toBeGreaterThan(0);
  });

  it('measures timeouts, fallbacks, hedges, caches and coalesced calls', async () => {
    const timed = pipeline(
      'timed',
      fallback(() => 'old', { name: 'stale' }),
      timeout({ name: 'slow', duration: 10, clock }),
    );
    const hedged = pipeline('hedged', hedge({ name: 'twice', delay: 5, idempotent: true, clock }));
    const cached = pipeline(
      'cached',
      cache({ name: 'answers', key: () => 'one', freshDuration: 1_000, clock }),
    );
    const joined = pipeline('joined', coalesce({ name: 'flights', key: () => 'one' }));
    collect([timed, hedged, cached, joined]);
    await run(timed, () => new Promise(() => {}));
    await run(hedged, () => new Promise((resolve) => clock.schedule(() => resolve('late'), 8)));
    await run(cached, up);
    await run(cached, up);
    await Promise.all([joined.execute(up), joined.execute(up)]);
    expect(valuesOf('timeouts')).toEqual({ slow: 1 });
    expect(valuesOf('fallbacks')).toEqual({ 'stale RESIL_TIMEOUT': 1 });
    expect(valuesOf('attempts')).toMatchObject({ hedge: 1 });
    expect(valuesOf('cacheRequests')).toEqual({ 'answers miss': 1, 'answers hit': 1 });
    expect(valuesOf('cacheStored')).toEqual({ answers: 1 });
    expect(valuesOf('coalesced')).toEqual({ flights: 1 });
  });

  it('tells what a pipeline stands before', () => {
    const prices = pipeline({
      name: 'prices',
      dependency: {
        client: 'axios',
        target: 'https://me:secret@prices.example/v1?key=1',
        critical: true,
      },
    });
    const shards = keyed((key) => pipeline({ name: 'shards', key }), {
      dependency: { client: 'pg' },
    });
    shards.for('1');
    shards.for('2');
    const unused = keyed((key) => pipeline({ name: 'unused', key }), {
      name: 'unused',
      dependency: { client: 'kafkajs' },
    });
    collect([prices, shards, unused]);
    expect(
      seriesOf('dependencyInfo').map(({ attributes, value }) => ({ ...attributes, value })),
    ).toEqual([
      {
        'resil.pipeline': 'prices',
        'resil.client': 'axios',
        'resil.target': 'https://prices.example/v1',
        'resil.critical': 'true',
        value: 1,
      },
      { 'resil.pipeline': 'shards', 'resil.client': 'pg', 'resil.critical': 'false', value: 1 },
      {
        'resil.pipeline': 'unused',
        'resil.client': 'kafkajs',
        'resil.critical': 'false',
        value: 1,
      },
    ]);
  });

  it('shows the endpoints of a failover, and what stands before each', async () => {
    const nodes = failover({
      name: 'nodes',
      endpoints: ['a', 'b'],
      random: () => 0.99,
      layers: ({ name }) => [
        circuitBreaker({ name: `${name} breaker`, failureThreshold: 1, clock }),
      ],
      clock,
    });
    const reads = pipeline('reads', nodes);
    collect([reads]);
    await run(reads, down);
    expect(valuesOf('endpointState')).toEqual({
      'nodes a available': 1,
      'nodes a ejected': 0,
      'nodes a unhealthy': 0,
      'nodes b available': 1,
      'nodes b ejected': 0,
      'nodes b unhealthy': 0,
    });
    expect(valuesOf('endpointInFlight')).toEqual({ 'nodes a': 0, 'nodes b': 0 });
    expect(valuesOf('circuitState')).toMatchObject({ 'a breaker open': 0, 'b breaker open': 1 });
  });

  it('shows a pool of threads as the bulkhead that it is', () => {
    const pool = {
      name: 'hashes',
      run: <T>(call: Call, next: (call: Call) => Promise<T>) => next(call),
      describe: () => ({
        type: 'workerPool',
        name: 'hashes',
        options: { maxThreads: 4, maxQueueSize: 100 },
        state: { running: 2, waiting: 1 },
        counters: {},
      }),
    };
    collect([pipeline('hashing', pool)]);
    expect(valuesOf('concurrencyInUse')).toEqual({ 'bulkhead hashes': 2 });
    expect(valuesOf('concurrencyLimit')).toEqual({ 'bulkhead hashes': 4 });
    expect(valuesOf('queueLength')).toEqual({ 'bulkhead hashes': 1 });
    expect(valuesOf('queueLimit')).toEqual({ 'bulkhead hashes': 100 });
  });

  describe('keys', () => {
    function shards() {
      return keyed(
        (key) =>
          pipeline(
            { name: 'shards', key },
            circuitBreaker({ name: 'shard', failureThreshold: 1, resetTimeout: 1_000 }),
          ),
        { maxKeys: 20_000 },
      );
    }

    it('are not shown, and count together', async () => {
      const all = shards();
      collect([all]);
      await swallow(all.execute('a', down));
      await all.execute('b', up);
      expect(valuesOf('attempts')).toEqual({ first: 2 });
      expect(valuesOf('circuitState')).toMatchObject({ 'shard closed': 1, 'shard open': 1 });
    });

    it('are shown as far as maxKeys goes', async () => {
      const all = shards();
      collect([all], { maxKeys: 2 });
      for (const key of ['a', 'b', 'c', 'd', 'a']) await all.execute(key, up);
      expect(valuesOf('attempts')).toEqual({ 'a first': 2, 'b first': 1, 'other first': 2 });
      expect(valuesOf('circuitState')).toMatchObject({
        'a shard closed': 1,
        'other shard closed': 2,
      });
      // Two calls, each with a beginning and an end.
      expect(valuesOf('folded')).toMatchObject({
        'resil.call.attempts': 2,
        'resil.call.duration': 2,
      });
    });

    it('never make more series than allowed, however many there are', async () => {
      const all = keyed((key) => pipeline({ name: 'shards', key }), { maxKeys: 20_000 });
      collect([all], { maxKeys: 10_000, maxSeries: 200 });
      for (let key = 0; key < 10_000; key++) {
        await swallow(all.execute(`tenant-${key}`, key % 10 === 0 ? down : up));
      }
      const sizes = collector.read().map(({ series }) => series.length);
      expect(Math.max(...sizes)).toBe(200);
      const sum = seriesOf('attempts').reduce((total, { value }) => total + value, 0);
      expect(sum).toBe(10_000);
      // As many are read as maxDescribedKeys allows.
      expect(collector.read().length).toBe(Object.keys(instruments).length);
      expect(valuesOf('callsInFlight')['tenant-9999']).toBe(0);
    });
  });

  it('hears every pipeline of the process, and those that come later', async () => {
    collector = new Collector();
    const later = pipeline('later than the collector');
    await later.execute(up);
    const mine = seriesOf('attempts').filter(
      ({ attributes }) => attributes['resil.pipeline'] === 'later than the collector',
    );
    expect(mine.map(({ value }) => value)).toEqual([1]);
    const shown = seriesOf('callsInFlight').map(({ attributes }) => attributes['resil.pipeline']);
    expect(shown).toContain('later than the collector');
  });

  it('hears nothing any more once it is stopped', async () => {
    const quotes = pipeline('quotes');
    collect([quotes]);
    collector.stop();
    await quotes.execute(up);
    expect(seriesOf('attempts')).toEqual([]);
  });

  it('gives the values of histograms away, if somebody takes them', async () => {
    const quotes = pipeline(
      'quotes',
      retry({ maxAttempts: 2, baseDelay: 100, jitter: 'none', clock }),
    );
    const taken: unknown[] = [];
    collector = new Collector({ pipelines: [quotes], clock }, ({ name }, value, attributes) =>
      taken.push([name, value, attributes['error.type']]),
    );
    await run(quotes, down);
    expect(taken).toEqual([
      ['resil.call.retry_delay', 0.1, 'EDOWN'],
      ['resil.call.duration', 0.1, 'EDOWN'],
    ]);
    expect(seriesOf('callDuration').map(({ count }) => count)).toEqual([0]);
  });

  it('says nothing of what a caller or an error holds', async () => {
    const quotes = pipeline('quotes', retry({ maxAttempts: 2, baseDelay: 1, clock }));
    collect([quotes]);
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = (): Promise<never> =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      );
    const call = quotes.execute(waiting, { signal, name: 'secret' });
    controller.abort('secret');
    await swallow(call);
    await run(quotes, () =>
      Promise.reject(Object.assign(new Error('secret'), { name: 'my secret' })),
    );
    const shown = JSON.stringify(
      collector.read().map(({ series }) => series.map((one) => one.attributes)),
    );
    expect(shown).not.toContain('secret');
    expect(shown).toContain('aborted');
  });

  it('passes over events that it does not know', () => {
    const unknown = { type: 'brand.new' } as unknown as ResilienceEvent;
    expect(() => measureEvent(unknown, undefined as never, undefined as never)).not.toThrow();
  });

  it('measures what becomes of endpoints and messages', () => {
    const topics = pipeline('topics');
    collect([topics]);
    const error = new Error('down');
    const of = { strategy: 'orders' };
    const told: readonly ResilienceEventInput[] = [
      {
        type: 'endpoint.ejected',
        ...of,
        endpoint: 'a:1',
        reason: 'success-rate',
        delay: 1,
        enforced: true,
      },
      { type: 'endpoint.returned', ...of, endpoint: 'a:1' },
      { type: 'endpoint.unhealthy', ...of, endpoint: 'a:1', error },
      { type: 'endpoint.healthy', ...of, endpoint: 'a:1' },
      { type: 'endpoint.skipped', ...of, endpoint: 'a:1', error },
      { type: 'failover.moved', ...of, from: undefined, to: 'b:1' },
      { type: 'failover.panicked', ...of, available: 0 },
      { type: 'failover.recovered', ...of, available: 2 },
      { type: 'consumer.paused', ...of, partition: 1, reason: 'refused', delay: 10 },
      { type: 'consumer.resumed', ...of, partition: 1 },
      { type: 'message.retried', ...of, to: 'retry', delay: 10, attempts: 1, error },
      { type: 'message.dead-lettered', ...of, to: 'dead', attempts: 3, error },
      { type: 'message.undeliverable', ...of, to: 'dead', attempts: 3, skipped: false, error },
      { type: 'worker.started', ...of, threads: 1 },
      { type: 'worker.ended', ...of, reason: 'timeout', threads: 0, exitCode: 1 },
      { type: 'rate-limit.slowed', ...of, reason: 'retry-after', delay: 10, duration: 10 },
      { type: 'limiter.limit-changed', ...of, limit: 3, previous: 2, reason: 'room' },
      { type: 'cache.revalidation-failed', ...of, error },
    ];
    for (const event of told) topics.emit(event, 'orders.v1');
    expect(valuesOf('ejections')).toEqual({ 'orders a:1 success-rate enforce': 1 });
    expect(valuesOf('endpointChanges')).toEqual({
      'orders a:1 returned': 1,
      'orders a:1 unhealthy': 1,
      'orders a:1 healthy': 1,
    });
    expect(valuesOf('endpointsSkipped')).toEqual({ 'orders a:1 Error': 1 });
    expect(valuesOf('failoverMoves')).toEqual({ 'orders b:1': 1 });
    expect(valuesOf('failoverPanics')).toEqual({ 'orders panicked': 1, 'orders recovered': 1 });
    expect(valuesOf('consumerChanges')).toEqual({
      'orders orders.v1 paused refused': 1,
      'orders orders.v1 resumed': 1,
    });
    expect(valuesOf('messages')).toEqual({
      'orders orders.v1 retried Error': 1,
      'orders orders.v1 dead-lettered Error': 1,
      'orders orders.v1 undeliverable Error': 1,
    });
    expect(valuesOf('threadChanges')).toEqual({ 'orders started': 1, 'orders ended timeout': 1 });
    expect(valuesOf('rateSlowed')).toEqual({ 'orders retry-after': 1 });
    expect(valuesOf('limitChanges')).toEqual({ 'orders room': 1 });
    expect(valuesOf('cacheFailures')).toEqual({ 'orders Error': 1 });
  });

  it('refuses what is not an option, or out of its range', () => {
    collect([]);
    expect(() => new Collector({ maxSeries: 1 })).toThrow(
      'telemetry.maxSeries must be a whole number of at least 2',
    );
    expect(() => new Collector({ maxKeys: -1 })).toThrow('telemetry.maxKeys');
    expect(() => new Collector({ pipelines: ['quotes'] as never })).toThrow(
      'telemetry.pipelines must be an array of pipelines and keyed pipelines',
    );
  });
});
