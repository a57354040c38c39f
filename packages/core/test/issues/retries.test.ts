import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  backoffDelay,
  type Call,
  InvalidOptionError,
  pipeline,
  retry,
  retryBudget,
  standard,
  timeout,
} from '../../src/index.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

describe('retries', () => {
  it('maxAttempts 2 is two attempts, that is one retry', async () => {
    const operation = vi.fn(fail);
    const call = retry({ clock, maxAttempts: 2 }).execute(operation);
    await expect(clock.runUntilSettled(call)).rejects.toBe(down);
    expect(operation).toHaveBeenCalledTimes(2);
  });

  it('a server that says how long to wait is obeyed', async () => {
    const busy = { status: 429, retryAfter: 4_000 };
    const calls = pipeline(
      {
        clock,
        classify: (outcome) => {
          if (!outcome.ok || outcome.value !== busy) return 'success';
          return { kind: 'failure', repeat: true, retryAfter: busy.retryAfter };
        },
      },
      retry({ baseDelay: 10 }),
    );
    const call = calls.execute(({ attempt }) => (attempt === 1 ? busy : { status: 200 }));
    await expect(clock.runUntilSettled(call)).resolves.toEqual({ status: 200 });
    expect(clock.now()).toBe(4_000);
  });

  it('what a server asks for can be capped and turned off: it does not control the delays', async () => {
    const asking = (maxRetryAfter: number, retryAfter: number) =>
      retry({
        clock,
        maxRetryAfter,
        classify: ({ ok }) => ({ kind: ok ? 'success' : 'failure', repeat: !ok, retryAfter }),
      });
    for (const [cap, asked, runs] of [
      [10_000, 86_400_000, 1],
      [0, 1, 1],
      [10_000, 10_000, 3],
    ] as const) {
      const operation = vi.fn(fail);
      await clock.runUntilSettled(asking(cap, asked).execute(operation)).catch(() => {});
      expect(operation).toHaveBeenCalledTimes(runs);
    }
  });

  it('clients that failed together do not come back together: jitter is on by default', async () => {
    const starts: number[] = [];
    const all = Array.from({ length: 200 }, (_, seed) =>
      retry({ clock, random: seededRandom(seed), baseDelay: 1_000, maxAttempts: 2 })
        .execute(({ attempt }) => {
          if (attempt === 2) starts.push(clock.now());
          return fail();
        })
        .catch(() => {}),
    );
    await clock.runUntilSettled(Promise.all(all));
    const perTenth = Array.from(
      { length: 10 },
      (_, tenth) => starts.filter((start) => Math.floor(start / 100.2) === tenth).length,
    );
    expect(starts).toHaveLength(200);
    expect(Math.max(...perTenth)).toBeLessThan(45);
    expect(Math.min(...perTenth)).toBeGreaterThan(5);
  });

  it('decorrelated jitter keeps its randomness at the cap', () => {
    const random = seededRandom(1);
    const settings = {
      baseDelay: 100,
      maxDelay: 1_000,
      backoff: 'exponential',
      jitter: 'decorrelated',
    } as const;
    const atCap = Array.from({ length: 100 }, (_, attempt) =>
      backoffDelay(settings, 20 + attempt, 1_000, random),
    );
    expect(atCap.filter((delay) => delay >= 999.9)).toEqual([]);
    expect(new Set(atCap).size).toBe(100);
  });

  it('retries are capped as a share of the calls, in an outage of any length', async () => {
    const budget = retryBudget({ clock, ratio: 0.1, minPerSecond: 0 });
    const calls = pipeline(
      retry({ budget, baseDelay: 1, maxAttempts: 5, random: seededRandom(1) }),
    );
    const operation = vi.fn(fail);
    for (let call = 0; call < 1_000; call++) {
      await clock.runUntilSettled(calls.execute(operation)).catch(() => {});
    }
    const retries = operation.mock.calls.length - 1_000;
    expect(retries).toBeLessThanOrEqual(100);
    expect(retries).toBeGreaterThan(80);
  });

  it('a retry that waits in its backoff holds its share: a thousand do not leave together', async () => {
    const budget = retryBudget({ clock, ratio: 0.1, minPerSecond: 0 });
    const calls = pipeline(retry({ budget, baseDelay: 1_000, jitter: 'none', maxAttempts: 2 }));
    const operation = vi.fn(fail);
    const all = Array.from({ length: 1_000 }, () => calls.execute(operation).catch(() => {}));
    await clock.advance(2_000);
    await Promise.all(all);
    expect(operation).toHaveBeenCalledTimes(1_100);
  });

  it('a budget is on in the standard pipeline', async () => {
    const calls = standard({ clock, circuitBreaker: false, random: seededRandom(1) });
    const recorder = recordEvents(calls);
    const all = Array.from({ length: 60 }, () => calls.execute(fail).catch(() => {}));
    await clock.runUntilSettled(Promise.all(all));
    expect(recorder.of('budget.exhausted').length).toBeGreaterThan(0);
    // 0.2 per call and 1 a second for ten seconds.
    expect(recorder.of('retry.scheduled')).toHaveLength(60 * 0.2 + 10);
  });

  it('the total and the attempt each have a timeout of their own, and are told apart by name', async () => {
    const calls = standard({
      clock,
      totalTimeout: 1_000,
      attemptTimeout: 400,
      retry: { baseDelay: 10, backoff: 'constant', jitter: 'none', maxAttempts: 9 },
    });
    const recorder = recordEvents(calls);
    const call = calls.execute(() => new Promise(() => {}));
    await expect(clock.runUntilSettled(call)).rejects.toMatchObject({ strategy: 'total timeout' });
    expect(clock.now()).toBe(1_000);
    expect(recorder.of('timeout.expired').map(({ strategy }) => strategy)).toEqual([
      'attempt timeout',
      'attempt timeout',
      'total timeout',
    ]);
  });

  it('the deadline of the caller limits the whole call as well', async () => {
    const operation = vi.fn(fail);
    const call = pipeline({ clock }, retry({ maxAttempts: 100, jitter: 'none' })).execute(
      operation,
      {
        deadline: 1_000,
      },
    );
    await expect(clock.runUntilSettled(call)).rejects.toBe(down);
    expect(clock.now()).toBeLessThan(1_000);
  });

  it('after the last attempt the real answer comes out, not an error about retries', async () => {
    const answers = [503, 503, 502].map((status) => ({ status, body: 'kept' }));
    const calls = pipeline(
      { clock, classify: ({ ok }) => (ok ? 'failure' : 'success') },
      retry({ maxAttempts: 3 }),
    );
    const call = calls.execute(({ attempt }) => answers[attempt - 1]);
    await expect(clock.runUntilSettled(call)).resolves.toBe(answers[2]);
    const errors = [new Error('first'), new Error('second')];
    const failing = retry({ clock, maxAttempts: 2 }).execute(({ attempt }) =>
      Promise.reject(errors[attempt - 1]),
    );
    await expect(clock.runUntilSettled(failing)).rejects.toBe(errors[1]);
  });

  it('wrapping a pipeline in another equals writing the layers in one', async () => {
    const results = [];
    for (const nested of [false, true]) {
      const layers = [
        retry({ baseDelay: 50, jitter: 'none' }),
        timeout({ duration: 100 }),
      ] as const;
      const calls = nested
        ? pipeline({ clock }, pipeline(layers[0]), pipeline(layers[1]))
        : pipeline({ clock }, ...layers);
      const start = clock.now();
      const operation = vi.fn(({ attempt }: Call) =>
        attempt === 2 ? fail() : new Promise(() => {}),
      );
      const error = await clock
        .runUntilSettled(calls.execute(operation))
        .catch((thrown: unknown) => (thrown as Error).message);
      results.push([error, operation.mock.calls.length, clock.now() - start]);
    }
    expect(results[0]).toEqual(["'timeout' expired after 100 ms", 3, 350]);
    expect(results[1]).toEqual(results[0]);
  });

  it('delays that cannot fit in the total are refused when the pipeline is made', () => {
    expect(() => standard({ totalTimeout: 500, retry: { baseDelay: 1_000 } })).toThrow(
      InvalidOptionError,
    );
  });
});
