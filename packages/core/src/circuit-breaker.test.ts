import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { deferred } from '../test/deferred.js';
import { bulkhead } from './bulkhead.js';
import { CircuitBreaker, circuitBreaker } from './circuit-breaker.js';
import {
  type CircuitBreakerOptions,
  type CircuitSnapshot,
  circuitBreakerDefaults,
} from './circuit-breaker-options.js';
import { observe, reportErrorsTo } from './emitter.js';
import { CircuitIsolatedError, CircuitOpenError } from './errors.js';
import { pipeline } from './pipeline.js';
import { timeout } from './timeout.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);
const succeed = (): Promise<string> => Promise.resolve('up');

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock({ now: 1_000 });
});

function breakerOf(options: CircuitBreakerOptions = {}): CircuitBreaker {
  return circuitBreaker({ clock, ...options });
}

/** Lets the calls `outcomes` name go through: `F` fails, `S` succeeds. */
async function feed(breaker: CircuitBreaker, outcomes: string): Promise<void> {
  for (const outcome of outcomes) {
    await breaker.execute(outcome === 'F' ? fail : succeed).catch(() => {});
  }
}

describe('circuitBreaker', () => {
  it('gives an instance of its class', () => {
    expect(breakerOf()).toBeInstanceOf(CircuitBreaker);
    expect(breakerOf().name).toBe('circuit-breaker');
    expect(breakerOf({ name: 'orders' }).name).toBe('orders');
  });

  describe('closed', () => {
    it("gives the operation's value, and its own error", async () => {
      const breaker = breakerOf({ failureThreshold: 2 });
      await expect(breaker.execute(succeed)).resolves.toBe('up');
      await expect(breaker.execute(fail)).rejects.toBe(down);
      expect(breaker.state).toBe('closed');
    });

    it('opens at failureThreshold failures in a row and then refuses without running', async () => {
      const breaker = breakerOf({ failureThreshold: 3, resetTimeout: 500 });
      const recorder = recordEvents(breaker);
      await feed(breaker, 'FF');
      expect(breaker.state).toBe('closed');
      await feed(breaker, 'F');
      expect(breaker.state).toBe('open');
      const operation = vi.fn(succeed);
      await expect(breaker.execute(operation)).rejects.toBeInstanceOf(CircuitOpenError);
      expect(operation).not.toHaveBeenCalled();
      expect(recorder.of('circuit.opened')).toMatchObject([
        { strategy: 'circuit-breaker', reason: 'failures', openings: 1, delay: 500, at: 1_000 },
      ]);
      expect(recorder.types.slice(-3)).toEqual([
        'call.started',
        'circuit.rejected',
        'call.rejected',
      ]);
    });

    it('starts counting anew after a success', async () => {
      const breaker = breakerOf({ failureThreshold: 3 });
      await feed(breaker, 'FFSFF');
      expect(breaker.state).toBe('closed');
      await feed(breaker, 'F');
      expect(breaker.state).toBe('open');
    });

    it('counts a function that throws synchronously', async () => {
      const breaker = breakerOf({ failureThreshold: 1 });
      await expect(
        breaker.execute(() => {
          throw down;
        }),
      ).rejects.toBe(down);
      expect(breaker.state).toBe('open');
    });

    it("goes by classify: a value can be a failure, an error the caller's own", async () => {
      const breaker = breakerOf({
        failureThreshold: 2,
        classify: (outcome) => {
          if (outcome.ok) return outcome.value === 503 ? 'failure' : 'success';
          return (outcome.error as Error).message === 'not found' ? 'success' : 'ignored';
        },
      });
      const notFound = (): Promise<never> => Promise.reject(new Error('not found'));
      await breaker.execute(() => 503);
      await breaker.execute(notFound).catch(() => {});
      await breaker.execute(() => 503);
      await breaker.execute(fail).catch(() => {});
      expect(breaker.state).toBe('closed');
      await expect(breaker.execute(() => 503)).resolves.toBe(503);
      expect(breaker.state).toBe('open');
    });

    it('asks its own classify, else that of the pipeline', async () => {
      const ignoreAll = () => 'ignored' as const;
      const asked = breakerOf({ failureThreshold: 1 });
      const own = breakerOf({ failureThreshold: 1, classify: () => 'failure' });
      const layers = pipeline({ clock, classify: ignoreAll }, asked, own);
      await expect(layers.execute(fail)).rejects.toBe(down);
      expect([asked.state, own.state]).toEqual(['closed', 'open']);
    });

    it('reports a classify that throws and takes the default', async () => {
      const reported: unknown[] = [];
      const end = reportErrorsTo((error) => reported.push(error));
      const broken = new Error('classify is broken');
      const breaker = breakerOf({
        failureThreshold: 1,
        classify: () => {
          throw broken;
        },
      });
      await expect(breaker.execute(succeed)).resolves.toBe('up');
      await expect(breaker.execute(fail)).rejects.toBe(down);
      end();
      expect(breaker.state).toBe('open');
      expect(reported).toEqual([broken, broken]);
    });

    it("does not count the caller's cancellation", async () => {
      const breaker = breakerOf({ failureThreshold: 1 });
      const controller = new AbortController();
      const call = breaker.execute(
        ({ signal }) =>
          new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason));
          }),
        { signal: controller.signal },
      );
      controller.abort('gone');
      await expect(call).rejects.toBe('gone');
      expect(breaker.state).toBe('closed');
    });

    it('does not count a refusal of a layer further in', async () => {
      const breaker = breakerOf({ failureThreshold: 1 });
      const calls = pipeline({ clock }, breaker, bulkhead({ maxConcurrentCalls: 1 }));
      const held = deferred();
      const running = calls.execute(() => held.promise);
      await expect(calls.execute(succeed)).rejects.toMatchObject({ code: 'RESIL_BULKHEAD_FULL' });
      expect(breaker.state).toBe('closed');
      held.resolve();
      await running;
    });

    it.each(['inside', 'outside'])(
      'counts a call that a timeout %s of it cut short',
      async (place) => {
        const breaker = breakerOf({ failureThreshold: 1 });
        const limit = timeout({ duration: 100 });
        const calls =
          place === 'inside' ? pipeline(breaker, limit) : pipeline({ clock }, limit, breaker);
        const call = calls.execute(() => new Promise(() => {}));
        await clock.advance(99);
        expect(breaker.state).toBe('closed');
        await clock.advance(1);
        expect(breaker.state).toBe('open');
        await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      },
    );

    it('counts our timeout whatever bare kind classify gives; a full verdict stands', async () => {
      for (const [classify, state] of [
        [() => 'ignored', 'open'],
        [() => 'success', 'open'],
        [() => ({ kind: 'ignored', repeat: false }), 'closed'],
      ] as [CircuitBreakerOptions['classify'], string][]) {
        const breaker = breakerOf({ failureThreshold: 1, classify });
        const call = pipeline(breaker, timeout({ duration: 100 })).execute(
          () => new Promise(() => {}),
        );
        await clock.advance(100);
        await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
        expect(breaker.state).toBe(state);
      }
    });

    it('does not count a call whose deadline passed before it began', async () => {
      const breaker = breakerOf({ failureThreshold: 1 });
      const operation = vi.fn(succeed);
      await expect(breaker.execute(operation, { deadline: 999 })).rejects.toMatchObject({
        code: 'RESIL_TIMEOUT',
      });
      expect(operation).not.toHaveBeenCalled();
      expect(breaker.state).toBe('closed');
    });
  });

  describe('failureRatio', () => {
    it('opens when the ratio is reached, not below it', async () => {
      const breaker = breakerOf({ failureRatio: 0.5, minimumCalls: 4, window: { calls: 10 } });
      await feed(breaker, 'SSSFF');
      expect(breaker.state).toBe('closed');
      await feed(breaker, 'F');
      expect(breaker.state).toBe('open');
    });

    it('is not consulted before minimumCalls outcomes', async () => {
      const breaker = breakerOf({ failureRatio: 0.5, minimumCalls: 5, window: { calls: 10 } });
      await feed(breaker, 'FFFF');
      expect(breaker.state).toBe('closed');
      await feed(breaker, 'F');
      expect(breaker.state).toBe('open');
    });

    it('is never reached by a success', async () => {
      const breaker = breakerOf({ failureRatio: 0.5, minimumCalls: 4, window: { calls: 10 } });
      await feed(breaker, 'FFSS');
      expect(breaker.state).toBe('closed');
      await feed(breaker, 'F');
      expect(breaker.state).toBe('open');
    });

    it('looks back on the latest window.calls outcomes', async () => {
      const breaker = breakerOf({ failureRatio: 0.75, minimumCalls: 4, window: { calls: 4 } });
      await feed(breaker, 'FFSSFF');
      expect(breaker.state).toBe('closed');
      await feed(breaker, 'F');
      expect(breaker.state).toBe('open');
    });

    it('looks back on the latest window.duration milliseconds', async () => {
      const breaker = breakerOf({
        failureRatio: 0.5,
        minimumCalls: 4,
        window: { duration: 1_000 },
      });
      await feed(breaker, 'FFF');
      await clock.advance(1_000);
      await feed(breaker, 'F');
      expect(breaker.state).toBe('closed');
      await feed(breaker, 'FFF');
      expect(breaker.state).toBe('open');
    });

    it('takes the defaults for what is left out', async () => {
      const breaker = breakerOf();
      await feed(breaker, 'FFFFFFFFF');
      expect(breaker.state).toBe('closed');
      await feed(breaker, 'F');
      expect(breaker.state).toBe('open');
      await clock.advance(circuitBreakerDefaults.resetTimeout);
      expect(breaker.state).toBe('half-open');
    });

    it('lowers the default minimumCalls to a smaller window', async () => {
      const breaker = breakerOf({ window: { calls: 2 } });
      await feed(breaker, 'FF');
      expect(breaker.state).toBe('open');
    });
  });

  describe('slow calls', () => {
    const slow = (duration: number) => () =>
      new Promise<string>((resolve) => clock.schedule(() => resolve('late'), duration));

    it('open it at slowCallRatio, though they succeed', async () => {
      const breaker = breakerOf({
        slowCallDuration: 200,
        slowCallRatio: 0.5,
        minimumCalls: 4,
        window: { calls: 4 },
      });
      const recorder = recordEvents(breaker);
      await feed(breaker, 'SS');
      await clock.runUntilSettled(breaker.execute(slow(199)));
      await clock.runUntilSettled(breaker.execute(slow(200)));
      expect(breaker.state).toBe('closed');
      await expect(clock.runUntilSettled(breaker.execute(slow(200)))).resolves.toBe('late');
      expect(breaker.state).toBe('open');
      expect(recorder.of('circuit.opened')).toMatchObject([{ reason: 'slow-calls' }]);
    });

    it('count by the time they ran, not by the time they waited for a permit', async () => {
      const breaker = breakerOf({ slowCallDuration: 200, minimumCalls: 1, window: { calls: 1 } });
      const calls = pipeline(breaker, bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 1 }));
      const first = calls.execute(slow(150));
      const second = calls.execute(slow(150));
      await clock.advance(300);
      await Promise.all([first, second]);
      expect(breaker.state).toBe('closed');
    });

    it('that succeed never open it by failureRatio', async () => {
      const breaker = breakerOf({
        failureRatio: 0.5,
        slowCallDuration: 200,
        slowCallRatio: 1,
        minimumCalls: 4,
        window: { calls: 4 },
      });
      await feed(breaker, 'FFS');
      await clock.runUntilSettled(breaker.execute(slow(300)));
      expect(breaker.state).toBe('closed');
      await feed(breaker, 'F');
      expect(breaker.state).toBe('open');
    });

    it('count as failures only when they fail', async () => {
      const breaker = breakerOf({
        failureRatio: 0.5,
        slowCallDuration: 200,
        slowCallRatio: 1,
        minimumCalls: 2,
        window: { calls: 2 },
      });
      await clock.runUntilSettled(breaker.execute(slow(300)));
      await feed(breaker, 'S');
      await clock.runUntilSettled(breaker.execute(slow(300)));
      expect(breaker.state).toBe('closed');
    });
  });

  describe('open', () => {
    it('rejects with what is to be known: code, name, time until a probe', async () => {
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout: 1_500, name: 'orders-db' });
      await feed(breaker, 'F');
      await clock.advance(300.5);
      await expect(breaker.execute(succeed)).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_OPEN',
        message: "circuit 'orders-db' is open; a probe is allowed in 1200 ms",
        strategy: 'orders-db',
        retryAfter: 1_199.5,
        refusal: true,
      });
    });

    it('becomes half-open as soon as resetTimeout is over, without a timer', async () => {
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout: 500 });
      await feed(breaker, 'F');
      expect(clock.pending).toBe(0);
      await clock.advance(499);
      expect(breaker.state).toBe('open');
      await clock.advance(1);
      expect(breaker.state).toBe('half-open');
    });

    it('asks a resetTimeout function with the number of openings in a row', async () => {
      const resetTimeout = vi.fn((openings: number) => openings * 100);
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout });
      const recorder = recordEvents(breaker);
      await feed(breaker, 'F');
      await clock.advance(100);
      await feed(breaker, 'F');
      await clock.advance(200);
      await feed(breaker, 'F');
      await clock.advance(300);
      await feed(breaker, 'SF');
      expect(resetTimeout.mock.calls).toEqual([[1], [2], [3], [1]]);
      expect(recorder.of('circuit.opened').map(({ openings, delay }) => [openings, delay])).toEqual(
        [
          [1, 100],
          [2, 200],
          [3, 300],
          [1, 100],
        ],
      );
    });

    it.each([
      [
        'throws',
        () => {
          throw new Error('broken');
        },
      ],
      ['gives NaN', () => Number.NaN],
      ['gives a negative number', () => -1],
    ])('reports a resetTimeout function that %s and takes the default', async (_, resetTimeout) => {
      const where: string[] = [];
      const end = reportErrorsTo((_error, place) => where.push(place));
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout });
      await feed(breaker, 'F');
      end();
      expect(where).toEqual(['resetTimeout']);
      await clock.advance(circuitBreakerDefaults.resetTimeout - 1);
      expect(breaker.state).toBe('open');
      await clock.advance(1);
      expect(breaker.state).toBe('half-open');
    });

    it('counts nothing of calls that began before it opened', async () => {
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout: 500 });
      const recorder = recordEvents(breaker);
      const late = deferred();
      const call = breaker.execute(() => late.promise);
      await feed(breaker, 'F');
      late.reject(down);
      await expect(call).rejects.toBe(down);
      expect(recorder.of('circuit.opened')).toHaveLength(1);
      await clock.advance(500);
      expect(breaker.state).toBe('half-open');
    });

    it('stays open for good with a resetTimeout of Infinity', async () => {
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout: Number.POSITIVE_INFINITY });
      await feed(breaker, 'F');
      await clock.advance(1e12);
      expect(breaker.state).toBe('open');
      breaker.reset();
      expect(breaker.state).toBe('closed');
    });
  });

  describe('half-open', () => {
    async function halfOpen(options: CircuitBreakerOptions): Promise<CircuitBreaker> {
      const breaker = breakerOf({ resetTimeout: 500, ...options });
      if (options.failureThreshold === undefined) await feed(breaker, 'FFFFFFFFFF');
      else await feed(breaker, 'F'.repeat(options.failureThreshold));
      await clock.advance(500);
      expect(breaker.state).toBe('half-open');
      return breaker;
    }

    it('lets halfOpenCalls probes through and rejects the rest', async () => {
      const breaker = await halfOpen({ failureThreshold: 1, halfOpenCalls: 3 });
      const held = deferred<string>();
      const operation = vi.fn(() => held.promise);
      const probes = [1, 2, 3].map(() => breaker.execute(operation));
      await expect(breaker.execute(operation)).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_OPEN',
        message: "circuit 'circuit-breaker' is half-open and all its probes are out",
        retryAfter: undefined,
        refusal: true,
      });
      expect(operation).toHaveBeenCalledTimes(3);
      held.resolve('up');
      expect(await Promise.all(probes)).toEqual(['up', 'up', 'up']);
      expect(breaker.state).toBe('closed');
    });

    it('closes when the last probe has ended, and not before', async () => {
      const breaker = await halfOpen({ failureThreshold: 1, halfOpenCalls: 2 });
      const recorder = recordEvents(breaker);
      await feed(breaker, 'S');
      expect(breaker.state).toBe('half-open');
      await feed(breaker, 'S');
      expect(breaker.state).toBe('closed');
      expect(recorder.events.filter(({ type }) => type.startsWith('circuit.'))).toMatchObject([
        { type: 'circuit.half-opened', reason: 'reset-timeout' },
        { type: 'circuit.closed', reason: 'probe-succeeded' },
      ]);
    });

    it('opens again at the first failed probe with failureThreshold', async () => {
      const breaker = await halfOpen({ failureThreshold: 2, halfOpenCalls: 3 });
      const recorder = recordEvents(breaker);
      await feed(breaker, 'SF');
      expect(breaker.state).toBe('open');
      expect(recorder.of('circuit.opened')).toMatchObject([
        { reason: 'probe-failed', openings: 2, delay: 500 },
      ]);
    });

    it('opens again as soon as failureRatio of the probes have failed', async () => {
      const breaker = await halfOpen({ failureRatio: 0.5, halfOpenCalls: 4 });
      await feed(breaker, 'F');
      expect(breaker.state).toBe('half-open');
      await feed(breaker, 'F');
      expect(breaker.state).toBe('open');
    });

    it('closes though some probes failed, as long as they are under failureRatio', async () => {
      const breaker = await halfOpen({ failureRatio: 0.5, halfOpenCalls: 4 });
      await feed(breaker, 'SFSS');
      expect(breaker.state).toBe('closed');
    });

    it('opens again when slowCallRatio of the probes are slow', async () => {
      const breaker = await halfOpen({
        slowCallDuration: 100,
        slowCallRatio: 0.5,
        halfOpenCalls: 2,
      });
      const probe = breaker.execute(
        () => new Promise<void>((resolve) => clock.schedule(resolve, 100)),
      );
      await clock.runUntilSettled(probe);
      expect(breaker.state).toBe('open');
    });

    it('counts from nothing after it closed', async () => {
      const breaker = await halfOpen({ failureThreshold: 2 });
      await feed(breaker, 'SF');
      expect(breaker.state).toBe('closed');
      await feed(breaker, 'F');
      expect(breaker.state).toBe('open');
    });

    it('gives the place of a probe that classify ignores to another', async () => {
      const notOurs = new Error('not ours');
      const breaker = await halfOpen({
        failureThreshold: 1,
        classify: (outcome) => {
          if (outcome.ok) return 'success';
          return outcome.error === notOurs ? 'ignored' : 'failure';
        },
      });
      await expect(breaker.execute(() => Promise.reject(notOurs))).rejects.toBe(notOurs);
      expect(breaker.state).toBe('half-open');
      await expect(breaker.execute(succeed)).resolves.toBe('up');
      expect(breaker.state).toBe('closed');
    });

    it('gives the place of a probe that was refused further in to another', async () => {
      const breaker = await halfOpen({ failureThreshold: 1 });
      const inner = breakerOf({ name: 'inner', failureThreshold: 1 });
      inner.isolate();
      const calls = pipeline(breaker, inner);
      await expect(calls.execute(succeed)).rejects.toBeInstanceOf(CircuitIsolatedError);
      inner.reset();
      await expect(calls.execute(succeed)).resolves.toBe('up');
      expect(breaker.state).toBe('closed');
    });

    it('gives the place of an aborted probe to another at once, though it never settles', async () => {
      const breaker = await halfOpen({ failureThreshold: 1 });
      const controller = new AbortController();
      const hung = vi.fn(() => new Promise(() => {}));
      void breaker.execute(hung, { signal: controller.signal });
      await expect(breaker.execute(succeed)).rejects.toBeInstanceOf(CircuitOpenError);
      controller.abort('gone');
      await expect(breaker.execute(succeed)).resolves.toBe('up');
      expect(breaker.state).toBe('closed');
      expect(hung).toHaveBeenCalledTimes(1);
    });

    it('takes a probe that a timeout outside of it cut short for a failure', async () => {
      const breaker = await halfOpen({ failureThreshold: 1 });
      const call = pipeline({ clock }, timeout({ duration: 100 }), breaker).execute(
        () => new Promise(() => {}),
      );
      await clock.advance(100);
      await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      expect(breaker.state).toBe('open');
    });

    it('gives the place of a probe that is silent for probeTimeout to another', async () => {
      const breaker = await halfOpen({ failureThreshold: 1, probeTimeout: 1_000 });
      const silent = deferred();
      const first = breaker.execute(() => silent.promise);
      await clock.advance(999);
      await expect(breaker.execute(succeed)).rejects.toBeInstanceOf(CircuitOpenError);
      await clock.advance(1);
      const held = deferred();
      const second = breaker.execute(() => held.promise);
      // The late answer of the first says nothing any more.
      silent.reject(down);
      await expect(first).rejects.toBe(down);
      expect(breaker.state).toBe('half-open');
      await expect(breaker.execute(succeed)).rejects.toBeInstanceOf(CircuitOpenError);
      held.resolve();
      await second;
      expect(breaker.state).toBe('closed');
    });

    it('counts nothing of a call that began while it was closed', async () => {
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout: 500 });
      const lateFailure = deferred();
      const lateSuccess = deferred();
      const calls = [lateFailure, lateSuccess].map(({ promise }) => breaker.execute(() => promise));
      await feed(breaker, 'F');
      await clock.advance(500);
      const held = deferred();
      const probe = breaker.execute(() => held.promise);
      lateSuccess.resolve();
      lateFailure.reject(down);
      await Promise.allSettled(calls);
      expect(breaker.state).toBe('half-open');
      await expect(breaker.execute(succeed)).rejects.toBeInstanceOf(CircuitOpenError);
      held.resolve();
      await probe;
      expect(breaker.state).toBe('closed');
    });

    it('counts nothing of a probe that ends after another opened it again', async () => {
      const breaker = await halfOpen({ failureThreshold: 1, halfOpenCalls: 2 });
      const held = deferred();
      const slow = breaker.execute(() => held.promise);
      await feed(breaker, 'F');
      await clock.advance(500);
      held.resolve();
      await slow;
      await feed(breaker, 'S');
      expect(breaker.state).toBe('half-open');
      await feed(breaker, 'S');
      expect(breaker.state).toBe('closed');
    });
  });

  describe('isolate and reset', () => {
    it('refuses everything from isolate on, until reset', async () => {
      const breaker = breakerOf({ name: 'orders', failureThreshold: 1 });
      const recorder = recordEvents(breaker);
      breaker.isolate();
      breaker.isolate();
      expect(breaker.state).toBe('isolated');
      await clock.advance(1e9);
      const operation = vi.fn(succeed);
      await expect(breaker.execute(operation)).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_ISOLATED',
        message: "circuit 'orders' is isolated; reset() lets calls in again",
        retryAfter: undefined,
        refusal: true,
      });
      expect(operation).not.toHaveBeenCalled();
      breaker.reset();
      await expect(breaker.execute(operation)).resolves.toBe('up');
      expect(recorder.events.filter(({ type }) => type.startsWith('circuit.'))).toMatchObject([
        { type: 'circuit.isolated', reason: 'manual', attempt: 0, at: 1_000 },
        { type: 'circuit.rejected', state: 'isolated', attempt: 1 },
        { type: 'circuit.closed', reason: 'manual', attempt: 0 },
      ]);
    });

    it('counts nothing of calls that began before', async () => {
      const breaker = breakerOf({ failureThreshold: 1 });
      const held = deferred();
      const call = breaker.execute(() => held.promise);
      breaker.isolate();
      breaker.reset();
      held.reject(down);
      await expect(call).rejects.toBe(down);
      expect(breaker.state).toBe('closed');
    });

    it('reset of a closed circuit forgets what it counted, silently', async () => {
      const breaker = breakerOf({ failureThreshold: 2 });
      await feed(breaker, 'F');
      const recorder = recordEvents(breaker);
      breaker.reset();
      expect(recorder.types).toEqual([]);
      await feed(breaker, 'F');
      expect(breaker.state).toBe('closed');
    });

    it('reset closes an open circuit, and counts openings anew', async () => {
      const resetTimeout = vi.fn(() => 100);
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout });
      await feed(breaker, 'F');
      breaker.reset();
      expect(breaker.state).toBe('closed');
      await feed(breaker, 'F');
      expect(resetTimeout.mock.calls).toEqual([[1], [1]]);
    });
  });

  describe('snapshot', () => {
    const json = (snapshot: CircuitSnapshot): CircuitSnapshot =>
      JSON.parse(JSON.stringify(snapshot)) as CircuitSnapshot;

    it('carries an open circuit into another process, less the time between', async () => {
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout: 1_000 });
      await feed(breaker, 'F');
      await clock.advance(300);
      const snapshot = json(breaker.snapshot());
      expect(snapshot).toMatchObject({ version: 1, state: 'open', openings: 1, remaining: 700 });
      await clock.advance(200);
      const copy = breakerOf({ failureThreshold: 1, snapshot });
      expect(copy.state).toBe('open');
      await clock.advance(499);
      expect(copy.state).toBe('open');
      await clock.advance(1);
      expect(copy.state).toBe('half-open');
    });

    it('measures the time between by epoch, whatever the scales of the clocks are', async () => {
      const epochs = { before: 5_000_000, after: 5_000_400 };
      const clockOf = (epoch: number, now: number) => ({
        now: () => now,
        schedule: clock.schedule.bind(clock),
        epoch: () => epoch,
      });
      const first = circuitBreaker({
        failureThreshold: 1,
        resetTimeout: 1_000,
        clock: clockOf(epochs.before, 77_000),
      });
      await feed(first, 'F');
      const second = circuitBreaker({
        failureThreshold: 1,
        clock: clockOf(epochs.after, 3),
        snapshot: json(first.snapshot()),
      });
      expect(second.snapshot()).toMatchObject({ state: 'open', remaining: 600 });
    });

    it('counts the openings on', async () => {
      const resetTimeout = vi.fn(() => 100);
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout });
      await feed(breaker, 'F');
      const copy = breakerOf({
        failureThreshold: 1,
        resetTimeout,
        snapshot: json(breaker.snapshot()),
      });
      await clock.advance(100);
      await feed(copy, 'F');
      expect(resetTimeout.mock.calls).toEqual([[1], [2]]);
    });

    it('carries consecutive failures', async () => {
      const breaker = breakerOf({ failureThreshold: 3 });
      await feed(breaker, 'FF');
      const copy = breakerOf({ failureThreshold: 3, snapshot: json(breaker.snapshot()) });
      await feed(copy, 'F');
      expect(copy.state).toBe('open');
    });

    it.each([[{ calls: 4 }], [{ duration: 10_000 }]])('carries the window %o', async (window) => {
      const options = { failureRatio: 0.5, minimumCalls: 4, window };
      const breaker = breakerOf(options);
      await feed(breaker, 'FSS');
      const copy = breakerOf({ ...options, snapshot: json(breaker.snapshot()) });
      await feed(copy, 'F');
      expect(copy.state).toBe('open');
    });

    it('drops from a time window what ran out in between', async () => {
      const options = { failureRatio: 0.5, minimumCalls: 4, window: { duration: 1_000 } };
      const breaker = breakerOf(options);
      await feed(breaker, 'FFF');
      const snapshot = json(breaker.snapshot());
      await clock.advance(1_000);
      const copy = breakerOf({ ...options, snapshot });
      await feed(copy, 'F');
      expect(copy.state).toBe('closed');
    });

    it('ignores a window of another kind', async () => {
      const breaker = breakerOf({ window: { calls: 10 } });
      await feed(breaker, 'FFFFFFFFF');
      const copy = breakerOf({ window: { duration: 1_000 }, snapshot: json(breaker.snapshot()) });
      await feed(copy, 'F');
      expect(copy.state).toBe('closed');
    });

    it('carries isolation, and half-open as open without a wait', async () => {
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout: 100, halfOpenCalls: 2 });
      await feed(breaker, 'F');
      await clock.advance(100);
      await feed(breaker, 'S');
      const snapshot = json(breaker.snapshot());
      expect(snapshot).toMatchObject({ state: 'open', remaining: 0 });
      expect(breakerOf({ failureThreshold: 1, snapshot }).state).toBe('half-open');
      breaker.isolate();
      const isolated = breakerOf({ failureThreshold: 1, snapshot: json(breaker.snapshot()) });
      expect(isolated.state).toBe('isolated');
    });

    it('carries through JSON that an open circuit never lets a probe in', async () => {
      const options = { failureThreshold: 1, resetTimeout: Number.POSITIVE_INFINITY };
      const breaker = breakerOf(options);
      await feed(breaker, 'F');
      const copy = breakerOf({ ...options, snapshot: json(breaker.snapshot()) });
      await clock.advance(1e12);
      expect(copy.state).toBe('open');
    });
  });

  describe('fallbackFn', () => {
    it('answers failures and refusals from outside of the breaker', async () => {
      const fallbackFn = vi.fn((error: unknown) => `instead of ${(error as Error).message}`);
      const breaker = breakerOf({ failureThreshold: 1, resetTimeout: 500, fallbackFn });
      const operation = vi.fn(fail);
      await expect(breaker.execute(operation)).resolves.toBe('instead of down');
      expect(breaker.state).toBe('open');
      await expect(breaker.execute(operation)).resolves.toBe(
        "instead of circuit 'circuit-breaker' is open; a probe is allowed in 500 ms",
      );
      expect(operation).toHaveBeenCalledTimes(1);
    });

    it('is left out where only the guard is wanted', async () => {
      const breaker = breakerOf({ failureThreshold: 9, fallbackFn: () => 'instead' });
      const guarded = pipeline(breaker).narrow((layer) => 'enter' in layer);
      await expect(guarded.execute(fail)).rejects.toBe(down);
      await expect(pipeline(breaker).execute(fail)).resolves.toBe('instead');
    });
  });

  describe('events', () => {
    it('of its state go to its own listeners, to those of a pipeline and to observe, once each', async () => {
      const breaker = breakerOf({ name: 'orders', failureThreshold: 1, resetTimeout: 100 });
      const calls = pipeline('shop', breaker);
      const process = recordEvents(observe);
      const own = recordEvents(breaker);
      const outer = recordEvents(calls);
      await calls.execute(fail, { key: 'k', name: 'list' }).catch(() => {});
      process.stop();
      outer.stop();
      for (const recorder of [process, own, outer]) {
        expect(recorder.of('circuit.opened')).toMatchObject([
          { pipeline: 'shop', key: 'k', name: 'list', attempt: 1, strategy: 'orders' },
        ]);
      }
      breaker.reset();
      expect(own.types).toEqual(['circuit.opened', 'circuit.closed']);
      expect(outer.of('circuit.closed')).toEqual([]);
    });

    it('outside of a call name the first pipeline it was put into', () => {
      const breaker = breakerOf();
      pipeline({ name: 'shop', key: 'eu' }, breaker);
      pipeline('other', breaker);
      const recorder = recordEvents(breaker);
      breaker.isolate();
      expect(recorder.events).toMatchObject([{ pipeline: 'shop', key: 'eu', attempt: 0 }]);
    });
  });

  it('is shared by the pipelines it stands in', async () => {
    const breaker = breakerOf({ failureThreshold: 2 });
    const [reads, writes] = [pipeline('reads', breaker), pipeline('writes', breaker)];
    await reads.execute(fail).catch(() => {});
    await writes.execute(fail).catch(() => {});
    await expect(reads.execute(succeed)).rejects.toBeInstanceOf(CircuitOpenError);
    await expect(writes.execute(succeed)).rejects.toBeInstanceOf(CircuitOpenError);
  });
});
