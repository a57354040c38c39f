import { AsyncLocalStorage } from 'node:async_hooks';
import { VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  bulkhead,
  circuitBreaker,
  fallback,
  keyed,
  type Pipeline,
  pipeline,
  retry,
  standard,
  systemClock,
  timeout,
} from '../src/index.js';

const CALLS = 20;
const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);

const context = new AsyncLocalStorage<string>();
let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

/** Starts calls in contexts of their own; gives what each saw: in every run of the operation, and at the end. */
async function seenBy(
  calls: Pipeline,
  operation: (attempt: number, id: number) => unknown,
): Promise<string[]> {
  const seen: string[] = [];
  const see = (id: number, place: string): void => {
    const store = context.getStore();
    if (store !== `caller ${id}`) seen.push(`${place} of ${id} ran as ${store}`);
  };
  const all = Array.from({ length: CALLS }, (_, id) =>
    context.run(`caller ${id}`, async () => {
      const runs: number[] = [];
      await calls
        .execute(async ({ attempt }) => {
          runs.push(attempt);
          see(id, `attempt ${attempt}`);
          await operation(attempt, id);
          see(id, `end of attempt ${attempt}`);
        })
        .catch(() => {});
      see(id, 'the end');
      expect(runs.length).toBeGreaterThan(0);
    }),
  );
  await clock.runUntilSettled(Promise.all(all));
  return seen;
}

const after = (delay: number): Promise<void> =>
  new Promise((resolve) => clock.schedule(resolve, delay));

describe('the async context of a caller', () => {
  it('is kept through the queue of a bulkhead', async () => {
    const calls = pipeline(
      { clock },
      bulkhead({ maxConcurrentCalls: 2, maxQueueSize: CALLS, queueTimeout: 60_000 }),
    );
    expect(await seenBy(calls, (_, id) => after(10 + (id % 3)))).toEqual([]);
  });

  it('is kept through the delays of retry', async () => {
    const calls = pipeline({ clock }, retry({ maxAttempts: 4, baseDelay: 50 }));
    expect(await seenBy(calls, (attempt) => (attempt < 4 ? fail() : after(5)))).toEqual([]);
  });

  it('is kept through timeout > retry > bulkhead > timeout', async () => {
    const calls = pipeline(
      { clock },
      timeout({ duration: 10_000 }),
      retry({ maxAttempts: 3, baseDelay: 20, jitter: 'none' }),
      bulkhead({ maxConcurrentCalls: 3, maxQueueSize: CALLS, queueTimeout: 60_000 }),
      timeout({ duration: 100 }),
    );
    expect(await seenBy(calls, (attempt) => after(attempt === 1 ? 1_000 : 10))).toEqual([]);
  });

  it('is kept in a fallback after a timeout', async () => {
    const wrong: string[] = [];
    const all = Array.from({ length: CALLS }, (_, id) =>
      context.run(`caller ${id}`, async () => {
        const calls = pipeline(
          { clock },
          fallback((_error, call) => {
            if (context.getStore() !== `caller ${call.key}`) wrong.push(`fallback of ${call.key}`);
            return 'instead';
          }),
          timeout({ duration: 100 + (id % 4) }),
        );
        await calls.execute(() => new Promise(() => {}), { key: String(id) });
        if (context.getStore() !== `caller ${id}`) wrong.push(`end of ${id}`);
      }),
    );
    await clock.runUntilSettled(Promise.all(all));
    expect(wrong).toEqual([]);
  });

  it('is kept in the probes of a half-open circuit', async () => {
    const breaker = circuitBreaker({
      clock,
      failureThreshold: 1,
      resetTimeout: 100,
      halfOpenCalls: CALLS,
    });
    await context.run('who opened it', () => breaker.execute(fail).catch(() => {}));
    await clock.advance(100);
    expect(await seenBy(pipeline(breaker), () => after(10))).toEqual([]);
    expect(breaker.state).toBe('closed');
  });

  it('is kept where the place of an aborted waiter goes to the next', async () => {
    const limit = bulkhead({ maxConcurrentCalls: 1, maxQueueSize: CALLS });
    const calls = pipeline({ clock }, limit);
    const first = context.run('first', () => calls.execute(() => after(50)));
    const controller = new AbortController();
    const aborted = context.run('aborted', () =>
      calls.execute(() => 1, { signal: controller.signal }).catch(() => {}),
    );
    const next = context.run('next', () => calls.execute(() => context.getStore()));
    context.run('who aborts', () => controller.abort());
    await clock.runUntilSettled(Promise.all([first, aborted, next]));
    expect(await next).toBe('next');
  });

  it('is kept in keyed standard pipelines', async () => {
    const shards = keyed((key) => standard({ clock, key }), { clock });
    const stores = await clock.runUntilSettled(
      Promise.all(
        Array.from({ length: CALLS }, (_, id) =>
          context.run(`caller ${id}`, () =>
            shards.execute(`key ${id % 3}`, async ({ attempt }) => {
              if (attempt === 1) return fail();
              return context.getStore();
            }),
          ),
        ),
      ),
    );
    expect(stores).toEqual(Array.from({ length: CALLS }, (_, id) => `caller ${id}`));
  });

  it('is kept in real time, where all share one timer of the system', async () => {
    const calls = pipeline(
      { clock: systemClock },
      retry({ maxAttempts: 3, baseDelay: 1 }),
      bulkhead({ maxConcurrentCalls: 2, maxQueueSize: CALLS, queueTimeout: 60_000 }),
      timeout({ duration: 2 }),
    );
    const stores = await Promise.all(
      Array.from({ length: CALLS }, (_, id) =>
        context.run(`caller ${id}`, async () => {
          const inside: unknown[] = [];
          await calls
            .execute(({ attempt }) => {
              inside.push(context.getStore());
              return attempt < 3 ? new Promise(() => {}) : undefined;
            })
            .catch(() => {});
          return [...inside, context.getStore()];
        }),
      ),
    );
    stores.forEach((store, id) => {
      expect(new Set(store)).toEqual(new Set([`caller ${id}`]));
    });
  });
});
