import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { deferred } from '../test/deferred.js';
import { adaptiveLimiter } from './adaptive-limiter.js';
import { bulkhead } from './bulkhead.js';
import { circuitBreaker } from './circuit-breaker.js';
import { concurrencyBudget } from './concurrency-budget.js';
import { jsonRecord, type LayerDescription } from './description.js';
import { reportErrorsTo } from './emitter.js';
import { failover } from './failover.js';
import { fallback } from './fallback.js';
import { hedge } from './hedge.js';
import { keyed } from './keyed.js';
import type { Strategy } from './layer.js';
import { type Pipeline, pipeline } from './pipeline.js';
import { rateLimiter } from './rate-limiter.js';
import { retry } from './retry.js';
import { retryBudget } from './retry-budget.js';
import { standard } from './standard.js';
import { throttle } from './throttle.js';
import { timeout } from './timeout.js';
import { tokenBudget } from './token-budget.js';

const down = new Error('secret of the call');
const fail = (): Promise<never> => Promise.reject(down);
const swallow = (): void => {};

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock({ now: 1_000 });
});

/** What `describe()` gave, after a check that JSON holds all of it. */
function described<Description extends LayerDescription>(layer: {
  describe(): Description;
}): Description {
  const description = layer.describe();
  expect(JSON.parse(JSON.stringify(description))).toStrictEqual(description);
  return description;
}

describe('describe', () => {
  describe('values', () => {
    it('shows no limit as null and functions as such, and leaves out what does not apply', () => {
      expect(
        jsonRecord({
          none: Infinity,
          wrong: Number.NaN,
          zero: -0,
          fn: () => 1,
          nothing: undefined,
          null: null,
          list: [1, Infinity, 'text', true],
          inside: { none: Infinity, left: undefined },
          foreign: new Map([['secret', 1]]),
          big: 1n,
        }),
      ).toStrictEqual({
        none: null,
        wrong: null,
        zero: 0,
        fn: 'function',
        null: null,
        list: [1, null, 'text', true],
        inside: { none: null },
        foreign: 'object',
        big: '1',
      });
    });

    it('holds nothing of a call', async () => {
      const calls = standard({ name: 'quotes', clock, fallback: () => 'instead' });
      await clock.runUntilSettled(
        calls.execute(fail, { key: 'customer 7', name: 'GET /secret', attributes: {} }),
      );
      expect(JSON.stringify(described(calls))).not.toMatch(/secret|customer/);
    });
  });

  describe('circuit breaker', () => {
    it('shows its state, since when, and when a probe is allowed', async () => {
      const breaker = circuitBreaker({ clock, name: 'db', failureThreshold: 2, resetTimeout: 500 });
      await breaker.execute(() => 1);
      await breaker.execute(fail).catch(swallow);
      await clock.advance(50);
      expect(described(breaker)).toStrictEqual({
        type: 'circuitBreaker',
        name: 'db',
        options: {
          failureThreshold: 2,
          resetTimeout: 500,
          halfOpenCalls: 1,
          probeTimeout: 30_000,
          mode: 'enforce',
        },
        state: { state: 'closed', stateDuration: 50, openings: 0, consecutiveFailures: 1 },
        counters: {
          succeeded: 1,
          failed: 1,
          slow: 0,
          ignored: 0,
          late: 0,
          rejected: 0,
          observed: 0,
          opened: 0,
          halfOpened: 0,
          closed: 0,
        },
      });
      await breaker.execute(fail).catch(swallow);
      await breaker.execute(fail).catch(swallow);
      await clock.advance(200);
      expect(described(breaker)).toMatchObject({
        state: { state: 'open', stateDuration: 200, openings: 1, nextProbeDelay: 300 },
        counters: { failed: 2, rejected: 1, opened: 1 },
      });
      // Half-open for whoever asks, as `state` is, though no probe has come yet.
      await clock.advance(310);
      expect(described(breaker).state).toMatchObject({
        state: 'half-open',
        stateDuration: 10,
        nextProbeDelay: 0,
      });
      const probe = deferred();
      const probing = breaker.execute(() => probe.promise);
      expect(described(breaker).state).toMatchObject({ state: 'half-open', probes: 1 });
      probe.resolve();
      await probing;
      expect(described(breaker)).toMatchObject({
        state: { state: 'closed', stateDuration: 0, openings: 0 },
        counters: { succeeded: 2, halfOpened: 1, closed: 1 },
      });
      expect(described(breaker).state).not.toHaveProperty('probes');
    });

    it('shows its window, and counts slow, ignored and late outcomes', async () => {
      const breaker = circuitBreaker({
        clock,
        window: { calls: 4 },
        minimumCalls: 2,
        slowCallDuration: 100,
        resetTimeout: Infinity,
        classify: (outcome) =>
          !outcome.ok && outcome.error === down
            ? 'failure'
            : outcome.ok
              ? 'success'
              : { kind: 'ignored', repeat: false },
      });
      const late = deferred();
      const lateCall = breaker.execute(() => late.promise);
      const slow = deferred();
      const slowCall = breaker.execute(() => slow.promise);
      await breaker.execute(() => Promise.reject(new TypeError('mine'))).catch(swallow);
      await clock.advance(100);
      slow.resolve();
      await slowCall;
      expect(described(breaker)).toMatchObject({
        options: { window: { calls: 4 }, slowCallDuration: 100, resetTimeout: null },
        state: { window: { calls: 1, failures: 0, slow: 1 } },
        counters: { succeeded: 1, slow: 1, ignored: 1 },
      });
      expect(described(breaker).options).toHaveProperty('classify', 'function');
      await breaker.execute(fail).catch(swallow);
      late.resolve();
      await lateCall;
      expect(described(breaker)).toMatchObject({
        state: { state: 'open', nextProbeDelay: null, window: { calls: 0 } },
        counters: { failed: 1, late: 1, opened: 1 },
      });
    });
  });

  it('shows what a bulkhead holds and what became of its waiters', async () => {
    const layer = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 3, queueTimeout: 100 });
    const calls = pipeline({ clock }, layer);
    const held = deferred();
    const first = calls.execute(() => held.promise);
    const handed = calls.execute(() => 'handed');
    const controller = new AbortController();
    const aborted = calls.execute(() => 1, { signal: controller.signal });
    const dropped = calls.execute(() => 1);
    await calls.execute(() => 1).catch(swallow);
    expect(described(layer)).toStrictEqual({
      type: 'bulkhead',
      name: 'bulkhead',
      options: { maxConcurrentCalls: 1, maxQueueSize: 3, queueTimeout: 100, mode: 'enforce' },
      state: { running: 1, waiting: 3 },
      counters: { admitted: 1, queued: 3, rejected: 1, queueTimeouts: 0, aborted: 0, observed: 0 },
    });
    controller.abort('gone');
    await aborted.catch(swallow);
    held.resolve();
    await Promise.all([first, handed]);
    await dropped;
    const again = deferred();
    void calls.execute(() => again.promise);
    const late = calls.execute(() => 1).catch(swallow);
    await clock.advance(101);
    await late;
    expect(described(layer)).toMatchObject({
      state: { running: 1, waiting: 0 },
      counters: { admitted: 4, queued: 4, rejected: 1, queueTimeouts: 1, aborted: 1 },
    });
    expect(
      described(bulkhead({ maxConcurrentCalls: Infinity, timeout: 50 })).options,
    ).toMatchObject({ maxConcurrentCalls: null, timeout: 50 });
  });

  describe('retry', () => {
    it('counts attempts and why it stopped, and shows its budget', async () => {
      const budget = retryBudget({ clock, minPerSecond: 0.1, ratio: 0, name: 'shared' });
      const layer = retry({ maxAttempts: 2, baseDelay: 10, jitter: 'none', budget });
      const calls = pipeline({ clock }, layer);
      const first = calls.execute(fail).catch(swallow);
      await clock.flush();
      expect(described(layer).state).toMatchObject({ waiting: 1 });
      await clock.runUntilSettled(first);
      await calls.execute(() => 1);
      await calls.execute(fail).catch(swallow);
      expect(described(layer)).toStrictEqual({
        type: 'retry',
        name: 'retry',
        options: {
          maxAttempts: 2,
          baseDelay: 10,
          maxDelay: 5_000,
          backoff: 'exponential',
          jitter: 'none',
          maxRetryAfter: 30_000,
          whenNested: 'once',
        },
        state: {
          waiting: 0,
          budget: {
            type: 'retryBudget',
            name: 'shared',
            options: { ratio: 0, minPerSecond: 0.1, window: { duration: 10_000 } },
            state: { balance: 0 },
            counters: { deposits: 3, withdrawals: 1, refused: 1 },
          },
        },
        counters: {
          calls: 3,
          attempts: 4,
          retries: 1,
          exhaustedByAttempts: 1,
          exhaustedByDeadline: 0,
          exhaustedByRetryAfter: 0,
          exhaustedByBudget: 1,
          exhaustedByNesting: 0,
        },
      });
    });

    it('counts a deadline and a server that asks for too long a wait', async () => {
      const layer = retry({
        baseDelay: 100,
        jitter: 'none',
        maxRetryAfter: 10,
        classify: ({ ok }) =>
          ok ? 'success' : { kind: 'failure', repeat: true, retryAfter: asked },
      });
      let asked = 11;
      const calls = pipeline({ clock }, layer);
      await calls.execute(fail).catch(swallow);
      asked = 0;
      await calls.execute(fail, { deadline: clock.now() + 50 }).catch(swallow);
      expect(described(layer)).toMatchObject({
        state: { waiting: 0, budget: false },
        counters: { calls: 2, retries: 0, exhaustedByRetryAfter: 1, exhaustedByDeadline: 1 },
      });
    });

    it('gives up its place among those who wait when it is aborted', async () => {
      const layer = retry({ baseDelay: 1_000, jitter: 'none' });
      const controller = new AbortController();
      const call = pipeline({ clock }, layer).execute(fail, { signal: controller.signal });
      await clock.flush();
      controller.abort('gone');
      await expect(call).rejects.toBe('gone');
      expect(described(layer)).toMatchObject({ state: { waiting: 0 }, counters: { retries: 0 } });
    });

    it('shows a budget of the user as far as it describes itself', () => {
      const own = { name: 'mine', secret: 'x', deposit: () => {}, tryWithdraw: () => true };
      expect(described(retry({ budget: own })).state.budget).toStrictEqual({
        type: 'budget',
        name: 'mine',
        options: {},
        state: {},
        counters: {},
      });
    });
  });

  it('shows the tokens of a token budget', async () => {
    const budget = tokenBudget({ maxTokens: 4, tokenRatio: 0.5 });
    const calls = pipeline({ clock }, retry({ maxAttempts: 5, budget, baseDelay: 0 }));
    await clock.runUntilSettled(calls.execute(fail).catch(swallow));
    await calls.execute(() => 1);
    expect(described(budget)).toStrictEqual({
      type: 'tokenBudget',
      name: 'token-budget',
      options: { maxTokens: 4, tokenRatio: 0.5 },
      state: { tokens: 2.5 },
      counters: { succeeded: 1, failed: 2, withdrawals: 1, refused: 1 },
    });
  });

  it('shows how much a throttle refuses, and counts what it saw and refused', async () => {
    const layer = throttle({
      clock,
      minimumCalls: 2,
      random: () => 0,
      window: { duration: 1_000 },
    });
    await layer.execute(() => 1);
    for (let n = 0; n < 3; n++) await layer.execute(fail).catch(swallow);
    await layer.execute(() => 1).catch(swallow);
    expect(described(layer)).toStrictEqual({
      type: 'throttle',
      name: 'throttle',
      options: {
        minSuccessRatio: 0.5,
        maxRejectionRatio: 0.9,
        aggression: 1,
        minimumCalls: 2,
        window: { duration: 1_000 },
        mode: 'enforce',
      },
      state: { rejectionRatio: layer.rejectionRatio, window: { calls: 5, failures: 4 } },
      counters: { succeeded: 1, failed: 2, ignored: 0, rejected: 2, observed: 0 },
    });
  });

  it('shows who waits in a rate limiter and for how long, and what the server asked for', async () => {
    const layer = rateLimiter({ clock, maxCalls: 10, maxQueueSize: 2, queueTimeout: Infinity });
    const leave = new AbortController();
    await layer.execute(() => 1);
    const left = layer.execute(() => 1, { signal: leave.signal }).catch(swallow);
    const waits = layer.execute(() => 1);
    await layer.execute(() => 1).catch(swallow);
    leave.abort();
    await left;
    layer.slowDown({ retryAfter: 500 });
    expect(described(layer)).toStrictEqual({
      type: 'rateLimiter',
      name: 'rate-limiter',
      options: {
        maxCalls: 10,
        interval: 1_000,
        burstSize: 1,
        maxQueueSize: 2,
        queueTimeout: null,
        maxRetryAfter: 30_000,
        mode: 'enforce',
      },
      state: { waiting: 1, available: 0, delay: 600, pausedDuration: 500, pace: 100 },
      counters: {
        admitted: 1,
        queued: 2,
        rejected: 1,
        queueTimeouts: 0,
        aborted: 1,
        observed: 0,
        slowed: 1,
      },
    });
    await clock.runUntilSettled(waits);
    expect(described(layer)).toMatchObject({
      state: { waiting: 0, pausedDuration: 0 },
      counters: { admitted: 2 },
    });
  });

  it('shows what a rate limiter let wait in vain, and a pace that a quota asked for', async () => {
    const layer = rateLimiter({ clock, maxCalls: 10, queueTimeout: 200 });
    await layer.execute(() => 1);
    const waits = layer.execute(() => 1).catch(swallow);
    layer.slowDown({ quotas: [{ remaining: 2, resetDelay: 2_000 }] });
    await clock.runUntilSettled(waits);
    expect(described(layer)).toMatchObject({
      state: { pace: 1_000 },
      counters: { admitted: 1, queued: 1, rejected: 0, queueTimeouts: 1, slowed: 1 },
    });
  });

  it('shows the limit that an adaptive limiter found, and who waits', async () => {
    const options = { minLimit: 1, maxLimit: 1, maxQueueSize: 1, queueTimeout: 50 };
    const layer = adaptiveLimiter({ clock, ...options });
    const calls = pipeline({ clock }, layer);
    const held = deferred();
    const running = calls.execute(() => held.promise);
    const waiting = calls.execute(() => 1);
    await expect(calls.execute(() => 2)).rejects.toMatchObject({ code: 'RESIL_LIMIT_EXCEEDED' });
    expect(described(layer)).toStrictEqual({
      type: 'adaptiveLimiter',
      name: 'adaptive-limiter',
      options: {
        ...options,
        algorithm: 'aimd',
        initialLimit: 1,
        sampleWindow: false,
        queue: 'fifo',
        targetDelay: 5,
        queueInterval: 100,
        stallDuration: 50,
        earlyRejection: false,
        mode: 'enforce',
      },
      state: {
        limit: 1,
        estimate: 1,
        inFlight: 1,
        waiting: 1,
        partitions: [{ name: '(others)', guaranteed: 0, inFlight: 1, waiting: 1 }],
      },
      counters: {
        admitted: 1,
        queued: 1,
        rejected: 1,
        queueTimeouts: 0,
        aborted: 0,
        observed: 0,
      },
    });
    await expect(clock.runUntilSettled(waiting)).rejects.toMatchObject({
      code: 'RESIL_QUEUE_TIMEOUT',
    });
    held.resolve();
    await running;
    expect(described(layer)).toMatchObject({
      state: { inFlight: 0, waiting: 0 },
      counters: { admitted: 1, queueTimeouts: 1 },
    });
  });

  it('shows the delay of a hedge, what it counted, and its budget', async () => {
    const budget = concurrencyBudget({ ratio: 1, minConcurrentAttempts: 0 });
    const layer = hedge({ clock, delay: 10, budget, idempotent: true });
    const calls = pipeline({ clock }, layer);
    const answer = calls.execute(({ attempt }) =>
      attempt === 1 ? new Promise<never>(swallow) : 'second',
    );
    await clock.runUntilSettled(answer);
    expect(described(layer)).toStrictEqual({
      type: 'hedge',
      name: 'hedge',
      options: { delay: 10, maxHedges: 1, idempotent: true, whenNested: 'once' },
      state: {
        delay: 10,
        budget: {
          type: 'concurrencyBudget',
          name: 'concurrency-budget',
          options: { ratio: 1, minConcurrentAttempts: 0 },
          state: { calls: 0, attempts: 0, balance: 0 },
          counters: { deposits: 1, withdrawals: 1, refused: 0 },
        },
      },
      counters: { calls: 1, hedges: 1, wins: 1 },
    });
    expect(described(hedge({ clock }))).toMatchObject({
      options: { maxExtraLoad: 0.02, minDelay: 1, minimumCalls: 50, maxHedges: 1 },
      state: { delay: null, budget: false },
    });
  });

  it('counts what a concurrency budget refused', () => {
    const budget = concurrencyBudget({ minConcurrentAttempts: 1 });
    budget.deposit();
    expect([budget.tryWithdraw(), budget.tryWithdraw()]).toEqual([true, false]);
    expect(described(budget)).toMatchObject({
      state: { calls: 1, attempts: 1, balance: 0 },
      counters: { deposits: 1, withdrawals: 1, refused: 1 },
    });
  });

  it('shows the endpoints of a failover, the layers of each and what is left out', async () => {
    const layer = failover({
      name: 'stores',
      endpoints: ['a', { name: 'b', target: 'b', priority: 1 }],
      layers: ({ name }) => [
        circuitBreaker({ name, clock, failureThreshold: 2, fallbackFn: () => 1 }),
      ],
      outlierDetection: { failureThreshold: 1 },
      panicRatio: 0.5,
    });
    await pipeline(layer).execute(fail).catch(swallow);
    const { type, name, options, state, counters } = described(layer);
    expect({ type, name, counters }).toEqual({ type: 'failover', name: 'stores', counters: {} });
    expect(options).toMatchObject({ healthCheck: false, panicRatio: 0.5, slowStartRatio: 0.1 });
    expect(options.outlierDetection).toMatchObject({ failureThreshold: 1 });
    expect(state).toMatchObject({
      panicking: false,
      endpoints: [
        {
          name: 'a',
          state: 'available',
          running: 0,
          layers: [
            { type: 'fallback', counters: { used: 1 } },
            { type: 'circuitBreaker', name: 'a', counters: { failed: 1 } },
          ],
        },
        { name: 'b', priority: 1, layers: [{ type: 'fallback' }, { type: 'circuitBreaker' }] },
      ],
    });
    const plain = described(failover({ endpoints: ['a'], outlierDetection: false }));
    expect(plain.options.outlierDetection).toBe(false);
  });

  it('counts the calls that a timeout cut short', async () => {
    const inner = timeout({ duration: 100 });
    const calls = pipeline({ clock }, timeout({ duration: Infinity }), inner);
    await clock.runUntilSettled(calls.execute(() => new Promise(swallow)).catch(swallow));
    await calls.execute(() => 1);
    expect(described(calls).layers).toStrictEqual([
      {
        type: 'timeout',
        name: 'timeout',
        options: { duration: null },
        state: {},
        counters: { expired: 0 },
      },
      {
        type: 'timeout',
        name: 'timeout',
        options: { duration: 100 },
        state: {},
        counters: { expired: 1 },
      },
    ]);
  });

  it('counts the answers of a fallback, and those that it could not give', async () => {
    let broken = false;
    const layer = fallback(() => (broken ? fail() : 'instead'));
    await layer.execute(() => 1);
    await layer.execute(fail);
    broken = true;
    await expect(layer.execute(fail)).rejects.toBe(down);
    expect(described(layer)).toMatchObject({ options: {}, counters: { used: 2, failed: 1 } });
  });

  describe('pipeline', () => {
    it('shows its layers as they stand, a pipeline inside as one, a companion beside its pattern', () => {
      const inner = pipeline({ name: 'inner', key: 'k', clock }, bulkhead({ timeout: 50 }));
      const outer = pipeline(
        'outer',
        circuitBreaker({ clock, name: 'db', fallbackFn: () => 1 }),
        inner,
        timeout({ name: 'last' }),
      );
      const description = described(outer);
      expect(description).toMatchObject({
        type: 'pipeline',
        name: 'outer',
        key: null,
        options: {},
      });
      expect(description.layers.map(({ type, name }) => [type, name])).toEqual([
        ['fallback', 'db fallback'],
        ['circuitBreaker', 'db'],
        ['pipeline', 'inner'],
        ['timeout', 'last'],
      ]);
      expect(description.layers[2]).toMatchObject({
        key: 'k',
        layers: [{ type: 'bulkhead' }, { type: 'timeout', name: 'bulkhead timeout' }],
      });
      expect(described(pipeline())).toMatchObject({ name: null, layers: [] });
    });

    it('shows layers of the user by their kind, or as they describe themselves', () => {
      const guard = { name: 'own guard', enter: () => 1, leave: () => {} };
      const strategy: Strategy & { secret: string } = {
        name: 'own strategy',
        secret: 'x',
        run: (call, next) => next(call),
      };
      const describing = {
        ...strategy,
        describe: () =>
          ({ type: 'mine', state: { most: Infinity } }) as unknown as LayerDescription,
      };
      const broken = { ...strategy, describe: () => fail as never as LayerDescription };
      const throwing = {
        ...strategy,
        describe: () => {
          throw down;
        },
      };
      const reported: string[] = [];
      const end = reportErrorsTo((_, where) => reported.push(where));
      const { layers } = described(pipeline(guard, strategy, describing, broken, throwing));
      end();
      const plain = { name: 'own strategy', options: {}, state: {}, counters: {} };
      expect(layers).toStrictEqual([
        { ...plain, type: 'guard', name: 'own guard' },
        { ...plain, type: 'strategy' },
        { ...plain, type: 'mine', state: { most: null } },
        { ...plain, type: 'strategy' },
        { ...plain, type: 'strategy' },
      ]);
      expect(reported).toEqual(["describe of 'own strategy'"]);
    });

    const passing = (): Strategy => ({ name: 'own', run: (call, next) => next(call) });
    const refusing = () => circuitBreaker({ clock, failureThreshold: 1 });
    const shapes: Record<string, () => Pipeline> = {
      'no layer': () => pipeline({ clock }),
      breaker: () => pipeline(refusing()),
      'timeout > breaker': () => pipeline(timeout({ duration: 100 }), refusing()),
      'retry > breaker': () => pipeline(retry({ baseDelay: 1 }), refusing()),
      'retry with classify': () =>
        pipeline({ clock, classify: ({ ok }) => (ok ? 'success' : 'failure') }, retry(), timeout()),
      'retry > retry': () => pipeline({ clock }, retry({ baseDelay: 1 }), retry({ baseDelay: 1 })),
      'fallback for some': () =>
        pipeline(
          { clock },
          fallback((error) => Promise.reject(error)),
          retry(),
          timeout(),
        ),
      'fallback with classify': () =>
        pipeline(
          { clock, classify: () => 'failure' },
          fallback(() => 'instead'),
          retry(),
        ),
      'own strategy': () => pipeline(passing(), refusing()),
      'strategy that throws': () =>
        pipeline(
          { clock },
          {
            name: 'own',
            run: () => {
              throw down;
            },
          },
        ),
      nested: () => pipeline('outer', pipeline('inner', retry({ baseDelay: 1 }), refusing())),
      'bulkhead of one': () =>
        pipeline({ clock }, bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1, queueTimeout: 50 })),
      standard: () => standard({ clock }),
    };
    it.each(Object.entries(shapes))('counts calls as its events do: %s', async (_, make) => {
      const calls = make();
      const recorder = recordEvents(calls);
      const count = (type: string): number =>
        recorder.types.filter((other) => other === `call.${type}`).length;
      const settled: Promise<unknown>[] = [];
      const begin = (...call: Parameters<Pipeline['execute']>): void => {
        settled.push(calls.execute(...call).catch(swallow));
      };
      const controller = new AbortController();
      begin(() => 1, { signal: AbortSignal.abort('gone') });
      begin(() => 1);
      begin(() => new Promise((_, reject) => controller.signal.addEventListener('abort', reject)), {
        signal: controller.signal,
      });
      begin(() => new Promise((resolve) => clock.schedule(() => resolve(1), 500)));
      begin(() => new Promise((resolve) => clock.schedule(() => resolve(1), 500)), {
        deadline: clock.now() + 200,
      });
      begin(() => 1, { deadline: clock.now() });
      begin(() => 1, { deadline: clock.now() + 100 });
      begin(fail);
      begin(fail, { deadline: clock.now() + 1_000 });
      begin(() => 1);
      await clock.flush();
      const before = described(calls);
      expect(before.counters.started).toBe(10);
      expect(before.state.inFlight).toBe(10 - recorder.events.filter(isEnd).length);
      controller.abort('gone');
      await clock.runUntilSettled(Promise.all(settled));
      begin(() => 1);
      begin(fail);
      await clock.runUntilSettled(Promise.all(settled));
      const after = described(calls);
      await clock.flush();
      expect(after.counters).toStrictEqual({
        started: count('started'),
        succeeded: count('succeeded'),
        failed: count('failed'),
        rejected: count('rejected'),
        aborted: count('aborted'),
      });
      expect(after.counters.started).toBe(12);
      expect(after.counters.aborted).toBeGreaterThanOrEqual(1);
      expect(after.state).toStrictEqual({ inFlight: 0 });
    });

    const isEnd = ({ type }: { type: string }): boolean =>
      type.startsWith('call.') && type !== 'call.started';

    it('counts what was admitted, and what a narrowed pipeline runs', async () => {
      const calls = pipeline(retry(), refusing());
      const admission = await calls.admit();
      expect(described(calls)).toMatchObject({ state: { inFlight: 1 }, counters: { started: 1 } });
      admission.settle({ ok: true, value: 1 });
      await clock.flush();
      await calls.narrow(() => true).execute(() => 1);
      expect(described(calls)).toMatchObject({
        state: { inFlight: 0 },
        counters: { started: 2, succeeded: 2 },
      });
    });

    it('counts the calls of a nested pipeline where they were begun', async () => {
      const inner = pipeline('inner', refusing());
      const outer = pipeline('outer', inner);
      await outer.execute(() => 1);
      await inner.execute(() => 1);
      expect(described(outer)).toMatchObject({
        counters: { started: 1, succeeded: 1 },
        layers: [{ name: 'inner', counters: { started: 1, succeeded: 1 } }],
      });
    });
  });

  describe('keyed', () => {
    it('shows the keys used last, latest first, so many as are asked for', async () => {
      const shards = keyed((key) => pipeline({ name: 'shards', key, clock }), {
        clock,
        maxKeys: 3,
        idleTimeout: 1_000,
      });
      for (const key of ['a', 'b', 'c', 'd', 'b']) await shards.execute(key, () => 1);
      const description = described(shards);
      expect(description).toMatchObject({
        type: 'keyed',
        name: null,
        options: { maxKeys: 3, idleTimeout: 1_000 },
        state: { keys: 3 },
        counters: { created: 4, evicted: 1, expired: 0 },
      });
      expect(description.pipelines.map(({ key, counters }) => [key, counters.succeeded])).toEqual([
        ['b', 2],
        ['d', 1],
        ['c', 1],
      ]);
      expect(shards.describe({ maxKeys: 1 }).pipelines.map(({ key }) => key)).toEqual(['b']);
      expect(shards.describe({ maxKeys: 0 }).pipelines).toEqual([]);
      expect(() => shards.describe({ maxKeys: -1 })).toThrow(
        'describe.maxKeys must be a whole number of at least 0 or Infinity, but got -1',
      );
      await clock.advance(1_000);
      expect(described(shards)).toMatchObject({
        state: { keys: 0 },
        counters: { created: 4, evicted: 1, expired: 3 },
        pipelines: [],
      });
    });

    it('shows a hundred unless it is told otherwise', () => {
      const shards = keyed((key) => pipeline({ key }));
      for (let key = 0; key < 150; key++) shards.for(`${key}`);
      expect(described(shards).pipelines).toHaveLength(100);
      expect(shards.describe({ maxKeys: Infinity }).pipelines).toHaveLength(150);
    });
  });
});
