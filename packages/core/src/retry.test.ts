import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Call } from './call.js';
import { circuitBreaker } from './circuit-breaker.js';
import { reportErrorsTo } from './emitter.js';
import type { Verdict } from './outcome.js';
import { pipeline } from './pipeline.js';
import { Retry, type RetryOptions, retry, retryDefaults } from './retry.js';
import { retryBudget } from './retry-budget.js';
import { timeout } from './timeout.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

function retryOf(options: RetryOptions = {}): Retry {
  return retry({ clock, jitter: 'none', ...options });
}

/** An operation that fails so many times and then gives its attempt. */
function failing(times: number) {
  return vi.fn(({ attempt }: Call) => (attempt <= times ? fail() : attempt));
}

describe('retry', () => {
  it('goes by classify further in as well as outermost', async () => {
    const classify = vi.fn(() => 'success' as const);
    const calls = pipeline({ clock, classify }, timeout({ duration: 100 }), retry());
    await expect(calls.execute(async () => 'done')).resolves.toBe('done');
    await expect(calls.execute(() => Promise.reject(new Error('known')))).rejects.toThrow('known');
    expect(classify).toHaveBeenCalledTimes(2);
    expect(calls.describe().counters).toMatchObject({ succeeded: 1, failed: 1 });
  });

  it('gives an instance of its class', () => {
    expect(retry()).toBeInstanceOf(Retry);
    expect([retry().name, retry({ name: 'again' }).name]).toEqual(['retry', 'again']);
  });

  describe('attempts', () => {
    it('runs once what succeeds, and lets no time pass', async () => {
      const operation = failing(0);
      await expect(retryOf().execute(operation)).resolves.toBe(1);
      expect(operation).toHaveBeenCalledTimes(1);
      expect([clock.now(), clock.pending]).toEqual([0, 0]);
    });

    it('runs again what fails, counting attempts from 1, after growing delays', async () => {
      const operation = failing(2);
      const layer = retryOf({ baseDelay: 100 });
      const recorder = recordEvents(layer);
      await expect(clock.runUntilSettled(layer.execute(operation))).resolves.toBe(3);
      expect(clock.now()).toBe(300);
      expect(recorder.events).toMatchObject([
        { type: 'call.started', attempt: 1, at: 0 },
        { type: 'retry.scheduled', attempt: 1, delay: 100, error: down, strategy: 'retry', at: 0 },
        { type: 'retry.scheduled', attempt: 2, delay: 200, error: down, at: 100 },
        { type: 'call.succeeded', attempt: 1, duration: 300, at: 300 },
      ]);
    });

    it('makes maxAttempts attempts including the first, then gives the last error itself', async () => {
      const errors = [1, 2, 3].map((attempt) => new Error(`attempt ${attempt}`));
      const operation = vi.fn(({ attempt }: Call) => Promise.reject(errors[attempt - 1]));
      const layer = retryOf({ maxAttempts: 3, baseDelay: 10 });
      const recorder = recordEvents(layer);
      await expect(clock.runUntilSettled(layer.execute(operation))).rejects.toBe(errors[2]);
      expect(operation).toHaveBeenCalledTimes(3);
      expect(clock.now()).toBe(30);
      expect(recorder.of('retry.exhausted')).toMatchObject([
        { reason: 'attempts', error: errors[2], delays: [10, 20], attempt: 3, strategy: 'retry' },
      ]);
    });

    it('never runs again with maxAttempts 1', async () => {
      const operation = vi.fn(fail);
      await expect(retryOf({ maxAttempts: 1 }).execute(operation)).rejects.toBe(down);
      expect(operation).toHaveBeenCalledTimes(1);
    });

    it('goes on without end with maxAttempts Infinity', async () => {
      const operation = failing(500);
      const layer = retryOf({ maxAttempts: Infinity, baseDelay: 1, backoff: 'constant' });
      await expect(clock.runUntilSettled(layer.execute(operation))).resolves.toBe(501);
    });

    it('catches a function that throws synchronously', async () => {
      const operation = vi.fn(({ attempt }: Call) => {
        if (attempt < 2) throw down;
        return 'up';
      });
      await expect(clock.runUntilSettled(retryOf().execute(operation))).resolves.toBe('up');
    });

    it('counts its own attempts inside of another retry', async () => {
      const seen: number[] = [];
      const calls = pipeline(
        retryOf({ maxAttempts: 2, baseDelay: 1 }),
        retryOf({ maxAttempts: 2, baseDelay: 1 }),
      );
      const call = calls.execute(({ attempt }) => {
        seen.push(attempt);
        return fail();
      });
      await expect(clock.runUntilSettled(call)).rejects.toBe(down);
      expect(seen).toEqual([1, 2, 1, 2]);
    });
  });

  describe('delays', () => {
    it('are drawn by the random that is given', async () => {
      const random = seededRandom(3);
      const expected = seededRandom(3);
      const layer = retry({ clock, random, baseDelay: 100, maxAttempts: 4 });
      const recorder = recordEvents(layer);
      await clock.runUntilSettled(layer.execute(fail)).catch(() => {});
      expect(recorder.of('retry.scheduled').map(({ delay }) => delay)).toEqual([
        expected() * 100,
        expected() * 200,
        expected() * 400,
      ]);
    });

    it('have full jitter unless told otherwise', async () => {
      expect(retryDefaults.jitter).toBe('full');
      const layer = retry({ clock, random: () => 0.5, baseDelay: 100, maxAttempts: 2 });
      await clock.runUntilSettled(layer.execute(fail)).catch(() => {});
      expect(clock.now()).toBe(50);
    });

    it('are not longer than maxDelay', async () => {
      const layer = retryOf({ baseDelay: 100, maxDelay: 250, maxAttempts: 4 });
      await clock.runUntilSettled(layer.execute(fail)).catch(() => {});
      expect(clock.now()).toBe(100 + 200 + 250);
    });

    it('are as long as a baseDelay above the default maxDelay says', async () => {
      const layer = retryOf({ baseDelay: 7_000, maxAttempts: 3 });
      await clock.runUntilSettled(layer.execute(fail)).catch(() => {});
      expect(clock.now()).toBe(14_000);
    });

    it.each<[string, RetryOptions['backoff']]>([
      [
        'throws',
        () => {
          throw new Error('broken');
        },
      ],
      ['gives NaN', () => Number.NaN],
      ['gives a negative number', () => -5],
    ])('are maxDelay where a backoff function %s, and that is reported', async (_, backoff) => {
      const where: string[] = [];
      const end = reportErrorsTo((_error, place) => where.push(place));
      const layer = retryOf({ backoff, maxDelay: 400, maxAttempts: 2 });
      await expect(clock.runUntilSettled(layer.execute(fail))).rejects.toBe(down);
      end();
      expect([clock.now(), where]).toEqual([400, ['backoff']]);
    });
  });

  describe('deadline', () => {
    it('is never waited past: a delay that would reach it ends the retries at once', async () => {
      const operation = vi.fn(fail);
      const layer = retryOf({ baseDelay: 100, maxAttempts: 9 });
      const recorder = recordEvents(layer);
      const call = layer.execute(operation, { deadline: 300 });
      await expect(clock.runUntilSettled(call)).rejects.toBe(down);
      // After 100 ms the next delay is 200, which would end just at the deadline.
      expect(clock.now()).toBe(100);
      expect(operation).toHaveBeenCalledTimes(2);
      expect(recorder.of('retry.exhausted')).toMatchObject([
        { reason: 'deadline', delays: [100], error: down },
      ]);
    });

    it('can be that of a timeout outside', async () => {
      const operation = vi.fn(fail);
      const calls = pipeline(timeout({ duration: 250 }), retryOf({ baseDelay: 100 }));
      await expect(clock.runUntilSettled(calls.execute(operation))).rejects.toBe(down);
      expect([clock.now(), operation.mock.calls.length]).toEqual([100, 2]);
    });
  });

  describe('classify', () => {
    it('decides what is repeated: values too, and the last one comes out', async () => {
      const layer = retryOf({
        maxAttempts: 3,
        classify: (outcome) => (outcome.ok && outcome.value === 503 ? 'failure' : 'success'),
      });
      const busy = vi.fn(() => 503);
      await expect(clock.runUntilSettled(layer.execute(busy))).resolves.toBe(503);
      expect(busy).toHaveBeenCalledTimes(3);
      const broken = vi.fn(fail);
      await expect(layer.execute(broken)).rejects.toBe(down);
      expect(broken).toHaveBeenCalledTimes(1);
    });

    it('can forbid to repeat a failure', async () => {
      const operation = vi.fn(fail);
      const layer = retryOf({ classify: () => ({ kind: 'failure', repeat: false }) });
      await expect(layer.execute(operation)).rejects.toBe(down);
      expect(operation).toHaveBeenCalledTimes(1);
    });

    it('can ask to repeat what it does not call a failure', async () => {
      const operation = failing(1);
      const layer = retryOf({ classify: ({ ok }) => ({ kind: 'ignored', repeat: !ok }) });
      await expect(clock.runUntilSettled(layer.execute(operation))).resolves.toBe(2);
    });

    it('of the pipeline counts where the retry has none', async () => {
      const operation = vi.fn(fail);
      const calls = pipeline({ classify: () => 'success' }, retryOf());
      await expect(calls.execute(operation)).rejects.toBe(down);
      expect(operation).toHaveBeenCalledTimes(1);
    });

    it('sees the outcome, its duration and the call of the attempt', async () => {
      const seen: unknown[] = [];
      const layer = retryOf({
        maxAttempts: 2,
        baseDelay: 1_000,
        classify: (outcome, call) => {
          seen.push([outcome.ok, outcome.duration, call.attempt]);
          return outcome.ok ? 'success' : 'failure';
        },
      });
      const call = layer.execute(({ attempt }) => {
        return new Promise((resolve, reject) => {
          clock.schedule(attempt === 1 ? () => reject(down) : () => resolve('up'), attempt * 10);
        });
      });
      await expect(clock.runUntilSettled(call)).resolves.toBe('up');
      expect(seen).toEqual([
        [false, 10, 1],
        [true, 20, 2],
      ]);
    });

    it('frees the outcomes that are dropped, not the one that comes out', async () => {
      const discarded: number[] = [];
      const layer = retryOf({
        maxAttempts: 3,
        classify: (outcome): Verdict => ({
          kind: 'failure',
          repeat: true,
          discard: () => discarded.push((outcome as { value: number }).value),
        }),
      });
      await expect(clock.runUntilSettled(layer.execute(({ attempt }) => attempt))).resolves.toBe(3);
      expect(discarded).toEqual([1, 2]);
    });

    it('reports a discard that throws and goes on', async () => {
      const where: string[] = [];
      const end = reportErrorsTo((_error, place) => where.push(place));
      const layer = retryOf({
        maxAttempts: 2,
        classify: ({ ok }): Verdict => ({
          kind: ok ? 'success' : 'failure',
          repeat: !ok,
          discard: () => {
            throw new Error('broken');
          },
        }),
      });
      await expect(clock.runUntilSettled(layer.execute(failing(1)))).resolves.toBe(2);
      end();
      expect(where).toEqual(['discard']);
    });
  });

  it('does not repeat a call that must not be repeated', async () => {
    const operation = vi.fn(fail);
    await expect(retryOf().execute(operation, { idempotent: false })).rejects.toBe(down);
    expect(operation).toHaveBeenCalledTimes(1);
  });

  describe('shouldRetry', () => {
    it('narrows what is repeated, and gets the error and the call', async () => {
      const shouldRetry = vi.fn((error: unknown) => (error as Error).message === 'again');
      const operation = vi.fn(({ attempt }: Call) =>
        Promise.reject(new Error(attempt === 1 ? 'again' : 'enough')),
      );
      const call = retryOf({ shouldRetry, maxAttempts: 5 }).execute(operation);
      await expect(clock.runUntilSettled(call)).rejects.toThrow('enough');
      expect(operation).toHaveBeenCalledTimes(2);
      expect(
        shouldRetry.mock.calls.map((args) => (args as unknown as [unknown, Call])[1].attempt),
      ).toEqual([1, 2]);
    });

    it('is not asked where classify forbids to repeat', async () => {
      const shouldRetry = vi.fn(() => true);
      const layer = retryOf({ shouldRetry, classify: () => 'ignored' });
      await expect(layer.execute(fail)).rejects.toBe(down);
      expect(shouldRetry).not.toHaveBeenCalled();
    });

    it('that throws is reported and repeats nothing', async () => {
      const reported: unknown[] = [];
      const end = reportErrorsTo((error, where) => reported.push([error, where]));
      const broken = new Error('broken');
      const operation = vi.fn(fail);
      const layer = retryOf({
        shouldRetry: () => {
          throw broken;
        },
      });
      await expect(layer.execute(operation)).rejects.toBe(down);
      end();
      expect(operation).toHaveBeenCalledTimes(1);
      expect(reported).toEqual([[broken, 'shouldRetry']]);
    });
  });

  describe('refusals of a layer further in', () => {
    it('are not repeated', async () => {
      const breaker = circuitBreaker({ clock });
      breaker.isolate();
      const recorder = recordEvents(breaker);
      const calls = pipeline(retryOf(), breaker);
      await expect(calls.execute(() => 'up')).rejects.toMatchObject({
        code: 'RESIL_CIRCUIT_ISOLATED',
      });
      expect(clock.now()).toBe(0);
      expect(recorder.events).toEqual([]);
    });

    it('are repeated if shouldRetry asks for it, not before their retryAfter', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 1, resetTimeout: 700 });
      await breaker.execute(fail).catch(() => {});
      const calls = pipeline(retryOf({ baseDelay: 10, shouldRetry: () => true }), breaker);
      await expect(clock.runUntilSettled(calls.execute(() => 'up'))).resolves.toBe('up');
      expect(clock.now()).toBe(700);
    });
  });

  describe('retryAfter', () => {
    const asking = (retryAfter: number, options: RetryOptions = {}): Retry =>
      retryOf({
        baseDelay: 100,
        maxAttempts: 2,
        classify: ({ ok }) => ({ kind: ok ? 'success' : 'failure', repeat: !ok, retryAfter }),
        ...options,
      });

    it('is waited for in full where it is longer than the delay, maxDelay notwithstanding', async () => {
      const operation = failing(1);
      const layer = asking(9_000, { maxDelay: 200 });
      await expect(clock.runUntilSettled(layer.execute(operation))).resolves.toBe(2);
      expect(clock.now()).toBe(9_000);
    });

    it('does not shorten the delay', async () => {
      await clock.runUntilSettled(asking(5).execute(failing(1)));
      expect(clock.now()).toBe(100);
    });

    it('above maxRetryAfter ends the retries at once', async () => {
      const layer = asking(1_001, { maxRetryAfter: 1_000 });
      const recorder = recordEvents(layer);
      const operation = vi.fn(fail);
      await expect(layer.execute(operation)).rejects.toBe(down);
      expect([operation.mock.calls.length, clock.now()]).toEqual([1, 0]);
      expect(recorder.of('retry.exhausted')).toMatchObject([{ reason: 'retry-after' }]);
    });

    it('just at maxRetryAfter is obeyed', async () => {
      const layer = asking(1_000, { maxRetryAfter: 1_000 });
      await expect(clock.runUntilSettled(layer.execute(failing(1)))).resolves.toBe(2);
      expect(clock.now()).toBe(1_000);
    });

    it('with maxRetryAfter 0 is never obeyed: the server does not control the delays', async () => {
      const operation = vi.fn(fail);
      await expect(asking(1, { maxRetryAfter: 0 }).execute(operation)).rejects.toBe(down);
      expect(operation).toHaveBeenCalledTimes(1);
    });

    it.each([Number.NaN, -1])('of %d counts as none', async (retryAfter) => {
      const layer = asking(retryAfter);
      await expect(clock.runUntilSettled(layer.execute(failing(1)))).resolves.toBe(2);
      expect(clock.now()).toBe(100);
    });
  });

  describe('abort', () => {
    it('ends the wait at once with the reason, and the function is not called again', async () => {
      const controller = new AbortController();
      const operation = vi.fn(fail);
      const layer = retryOf({ baseDelay: 60_000, maxDelay: 60_000 });
      const recorder = recordEvents(layer);
      const call = layer.execute(operation, { signal: controller.signal });
      await clock.advance(50);
      const reason = new Error('changed my mind');
      controller.abort(reason);
      await expect(call).rejects.toBe(reason);
      expect(clock.now()).toBe(50);
      await clock.advance(120_000);
      expect(operation).toHaveBeenCalledTimes(1);
      expect(clock.pending).toBe(0);
      expect(recorder.types).toEqual(['call.started', 'retry.scheduled', 'call.aborted']);
    });

    it("while an attempt runs lets the attempt's own answer stand and repeats nothing", async () => {
      const controller = new AbortController();
      const own = new Error('own answer');
      const operation = vi.fn(
        ({ signal }: Call) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(own))),
      );
      const call = retryOf().execute(operation, { signal: controller.signal });
      controller.abort('gone');
      await expect(call).rejects.toBe(own);
      expect(operation).toHaveBeenCalledTimes(1);
    });
  });

  it('takes a budget on the same clock, and its clock where it has none', () => {
    const budget = retryBudget({ clock });
    expect(retry({ budget }).clock).toBe(clock);
    expect(retry({ budget: false }).clock).toBeUndefined();
  });

  it('runs calls apart from each other on one instance', async () => {
    const layer = retryOf({ baseDelay: 100, maxAttempts: 3 });
    const slow = layer.execute(failing(2));
    const quick = layer.execute(failing(1));
    await clock.advance(100);
    await expect(quick).resolves.toBe(2);
    await expect(clock.runUntilSettled(slow)).resolves.toBe(3);
    expect(clock.now()).toBe(300);
  });
});
