import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Bulkhead } from './bulkhead.js';
import type { Call } from './call.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { Fallback } from './fallback.js';
import { Hedge } from './hedge.js';
import { Pipeline } from './pipeline.js';
import { Retry } from './retry.js';
import { retryBudget } from './retry-budget.js';
import { type StandardOptions, standard, standardDefaults } from './standard.js';
import { Timeout } from './timeout.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

function standardOf(options: StandardOptions = {}): Pipeline {
  return standard({ clock, random: seededRandom(1), ...options });
}

const kinds = (calls: Pipeline): unknown[] => calls.layers.map((layer) => layer.constructor);

describe('standard', () => {
  it('is total timeout > retry > circuit breaker > bulkhead > attempt timeout', () => {
    const calls = standardOf();
    expect(calls).toBeInstanceOf(Pipeline);
    expect(kinds(calls)).toEqual([Timeout, Retry, CircuitBreaker, Bulkhead, Timeout]);
    expect(calls.layers.map(({ name }) => name)).toEqual([
      'total timeout',
      'retry',
      'circuit-breaker',
      'bulkhead',
      'attempt timeout',
    ]);
  });

  it('names what shows in errors', () => {
    const calls = standardOf({ name: 'prices', key: 'eu' });
    expect(calls.name).toBe('prices');
    expect(calls.layers.map(({ name }) => name)).toEqual([
      'total timeout',
      'retry',
      'prices',
      'prices',
      'attempt timeout',
    ]);
  });

  it('leaves out what is switched off, and puts a fallback outermost', () => {
    const off = {
      totalTimeout: false,
      attemptTimeout: false,
      retry: false,
      circuitBreaker: false,
      bulkhead: false,
      fallback: false,
    } as const;
    expect(kinds(standardOf(off))).toEqual([]);
    expect(kinds(standardOf({ ...off, fallback: () => 1, retry: {} }))).toEqual([Fallback, Retry]);
    for (const [part, kind] of [
      ['retry', Retry],
      ['circuitBreaker', CircuitBreaker],
      ['bulkhead', Bulkhead],
    ] as const) {
      expect(kinds(standardOf({ [part]: false }))).not.toContain(kind);
    }
  });

  it('has a hedge between retry and circuit breaker where it is asked for', () => {
    expect(kinds(standardOf({ hedge: {} }))).toEqual([
      Timeout,
      Retry,
      Hedge,
      CircuitBreaker,
      Bulkhead,
      Timeout,
    ]);
    expect(kinds(standardOf({ hedge: false }))).not.toContain(Hedge);
    expect(kinds(standardOf({ hedge: {}, retry: false }))).toContain(Hedge);
  });

  it('takes hedges out of the budget of the retry, unless they have their own', async () => {
    const slow = ({ attempt }: Call): Promise<number> =>
      new Promise((resolve) => clock.schedule(() => resolve(attempt), attempt === 1 ? 100 : 10));
    for (const [own, expected] of [
      [undefined, 1],
      [false, 2],
      [retryBudget({ clock, minPerSecond: 10 }), 2],
    ] as const) {
      const shared = retryBudget({ clock, ratio: 0, minPerSecond: 0 });
      const calls = standardOf({ retry: { budget: shared }, hedge: { delay: 20, budget: own } });
      const call = calls.execute(slow, { idempotent: true });
      expect(await clock.runUntilSettled(call)).toBe(expected);
    }
  });

  it('cuts each attempt short, and repeats it', async () => {
    const calls = standardOf();
    const recorder = recordEvents(calls);
    const operation = vi.fn(({ attempt }: Call) =>
      attempt === 1 ? new Promise<string>(() => {}) : 'second',
    );
    await expect(clock.runUntilSettled(calls.execute(operation))).resolves.toBe('second');
    expect(operation).toHaveBeenCalledTimes(2);
    expect(clock.now()).toBeGreaterThanOrEqual(standardDefaults.attemptTimeout);
    expect(clock.now()).toBeLessThan(standardDefaults.attemptTimeout + 100);
    expect(recorder.types).toEqual([
      'call.started',
      'timeout.expired',
      'retry.scheduled',
      'call.succeeded',
    ]);
  });

  it('ends the whole call at the total timeout', async () => {
    const calls = standardOf({
      totalTimeout: 1_000,
      attemptTimeout: 600,
      retry: { jitter: 'none' },
    });
    const operation = vi.fn(() => new Promise(() => {}));
    const call = calls.execute(operation);
    await expect(clock.runUntilSettled(call)).rejects.toMatchObject({
      code: 'RESIL_TIMEOUT',
      strategy: 'total timeout',
    });
    expect([clock.now(), operation.mock.calls.length]).toEqual([1_000, 2]);
  });

  it('opens its circuit by failure ratio, and refuses without repeating', async () => {
    const calls = standardOf({ name: 'prices', retry: false });
    for (let call = 0; call < standardDefaults.circuitBreaker.minimumCalls; call++) {
      await calls.execute(fail).catch(() => {});
    }
    const operation = vi.fn();
    await expect(calls.execute(operation)).rejects.toMatchObject({
      code: 'RESIL_CIRCUIT_OPEN',
      strategy: 'prices',
    });
    expect(operation).not.toHaveBeenCalled();
  });

  it('holds no permit while a call waits in its backoff', async () => {
    const calls = standardOf({
      bulkhead: { maxConcurrentCalls: 1, maxQueueSize: 0 },
      retry: { baseDelay: 1_000, jitter: 'none' },
    });
    const waiting = calls.execute(({ attempt }) => (attempt === 1 ? fail() : 'again'));
    await clock.flush();
    await expect(calls.execute(() => 'in')).resolves.toBe('in');
    await expect(clock.runUntilSettled(waiting)).resolves.toBe('again');
  });

  it('has a retry budget of its own, or the one that is given', async () => {
    const attempts = async (calls: Pipeline): Promise<number> => {
      const operation = vi.fn(fail);
      for (let call = 0; call < 100; call++) {
        await clock.runUntilSettled(calls.execute(operation)).catch(() => {});
      }
      return operation.mock.calls.length;
    };
    const quick = { circuitBreaker: false, retry: { baseDelay: 0, jitter: 'none' } } as const;
    // 100 calls bring 20 retries, and the floor of 1 a second 10 for the window.
    expect(await attempts(standardOf(quick))).toBe(130);
    const none = retryBudget({ clock, ratio: 0, minPerSecond: 0 });
    const budgeted = { ...quick, retry: { ...quick.retry, budget: none } };
    expect(await attempts(standardOf(budgeted))).toBe(100);
    const unlimited = { ...quick, retry: { ...quick.retry, budget: false } } as const;
    expect(await attempts(standardOf(unlimited))).toBe(300);
  });

  it('hands its classify to every part', async () => {
    const calls = standardOf({
      classify: (outcome) => (outcome.ok && outcome.value === 503 ? 'failure' : 'success'),
      fallback: (value) => `instead of ${value}`,
      retry: { maxAttempts: 2 },
    });
    const operation = vi.fn(() => 503);
    await expect(clock.runUntilSettled(calls.execute<unknown>(operation))).resolves.toBe(
      'instead of 503',
    );
    expect(operation).toHaveBeenCalledTimes(2);
    await expect(calls.execute(fail)).rejects.toBe(down);
  });

  it('overrides a part option by option', async () => {
    const calls = standardOf({
      circuitBreaker: { failureRatio: 1, name: 'own' },
      bulkhead: { maxConcurrentCalls: 1 },
      retry: false,
    });
    expect(calls.layers.map(({ name }) => name)).toContain('own');
    for (let call = 0; call < 9; call++) await calls.execute(fail).catch(() => {});
    await calls.execute(() => 1);
    await calls.execute(fail).catch(() => {});
    await expect(calls.execute(() => 'still closed')).resolves.toBe('still closed');
    void calls.execute(() => new Promise(() => {}));
    const queued = calls.execute(() => 1);
    const outcome = queued.catch((error: unknown) => error);
    await clock.advance(standardDefaults.bulkhead.queueTimeout);
    expect(await outcome).toMatchObject({ code: 'RESIL_QUEUE_TIMEOUT' });
  });

  it('takes a breaker by consecutive failures in place of the one by ratio', async () => {
    const calls = standardOf({ circuitBreaker: { failureThreshold: 2 }, retry: false });
    await calls.execute(fail).catch(() => {});
    await calls.execute(fail).catch(() => {});
    await expect(calls.execute(() => 1)).rejects.toMatchObject({
      code: 'RESIL_CIRCUIT_OPEN',
      retryAfter: standardDefaults.circuitBreaker.resetTimeout,
    });
  });

  describe('lets what is left out follow what is given', () => {
    it.each<[StandardOptions, number | undefined, number | undefined]>([
      [{}, 10_000, 3_000],
      [{ totalTimeout: 2_000 }, 2_000, 2_000],
      [{ totalTimeout: 20_000 }, 20_000, 3_000],
      [{ attemptTimeout: 60_000 }, 60_000, 60_000],
      [{ totalTimeout: false }, undefined, 3_000],
      [{ attemptTimeout: false }, 10_000, undefined],
    ])('%o: total %s, attempt %s', (options, total, attempt) => {
      const durations = new Map(
        standardOf(options)
          .layers.filter((layer) => layer instanceof Timeout)
          .map(({ name, duration }) => [name, duration]),
      );
      expect(durations.get('total timeout')).toBe(total);
      expect(durations.get('attempt timeout')).toBe(attempt);
    });

    it('a short total gets delays that fit', () => {
      expect(() => standardOf({ totalTimeout: 50 })).not.toThrow();
      expect(() => standardOf({ totalTimeout: 1, retry: { maxAttempts: 3 } })).not.toThrow();
    });

    it('a small window of calls gets fewer minimumCalls', () => {
      expect(() => standardOf({ circuitBreaker: { window: { calls: 5 } } })).not.toThrow();
    });
  });

  describe('refuses parts that contradict each other', () => {
    it.each<[StandardOptions, string]>([
      [
        { totalTimeout: 1_000, attemptTimeout: 1_001 },
        'standard.attemptTimeout must be at most totalTimeout (1000), but got 1001',
      ],
      [
        { circuitBreaker: { window: { duration: 5_999 } } },
        'standard.circuitBreaker.window.duration must be at least two attempt timeouts (6000), but got 5999',
      ],
      [
        { totalTimeout: 1_000, retry: { baseDelay: 400, maxAttempts: 3 } },
        'standard.retry must have delays that fit in totalTimeout (1000); those before attempt 3 of 3 take up to 1200 ms',
      ],
      [
        { totalTimeout: 1_000, retry: { baseDelay: 100, backoff: 'constant', maxAttempts: 11 } },
        'those before attempt 11 of 11 take up to 1000 ms',
      ],
    ])('%o', (options, message) => {
      expect(() => standardOf(options)).toThrow(message);
    });

    it('but not what just fits', () => {
      expect(() =>
        standardOf({
          totalTimeout: 1_000,
          attemptTimeout: 1_000,
          circuitBreaker: { window: { duration: 2_000 } },
          retry: { baseDelay: 100, backoff: 'constant', maxAttempts: 10 },
        }),
      ).not.toThrow();
    });

    it('nor delays that cannot be known before, or that the deadline ends', () => {
      expect(() => standardOf({ retry: { backoff: () => 1e9 } })).not.toThrow();
      expect(() =>
        standardOf({ retry: { baseDelay: 9_000, maxAttempts: Infinity } }),
      ).not.toThrow();
    });
  });
});
