import { AsyncLocalStorage } from 'node:async_hooks';
import { recordEvents, VirtualClock } from '@resil/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type AmbientContext,
  type AmbientProvider,
  ambientDeadline,
  contextHeaders,
  provideAmbient,
} from './ambient.js';
import type { Call, CallOptions } from './call.js';
import { hedge } from './hedge.js';
import { pipeline } from './pipeline.js';
import { type RetryOptions, retry } from './retry.js';
import { timeout } from './timeout.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);

const storage = new AsyncLocalStorage<AmbientContext>();
const provider: AmbientProvider = {
  current: () => storage.getStore(),
  run: (context, work) => storage.run(context, work),
  headers: (context) => ({ context: JSON.stringify({ ...context, clock: undefined }) }),
};

let clock: VirtualClock;
let end: () => void;
beforeEach(() => {
  clock = new VirtualClock();
  end = provideAmbient(provider);
});
afterEach(() => end());

const retryOf = (options: RetryOptions = {}) =>
  retry({ clock, jitter: 'none', maxAttempts: 3, baseDelay: 1, ...options });

/** What a call within `context` has, beside what it says itself. */
function seenIn(context: AmbientContext, options?: CallOptions): Promise<Partial<Call>> {
  const calls = pipeline({ clock });
  return storage.run(context, () =>
    calls.execute(
      ({ deadline, priority, idempotent, attributes }) => ({
        deadline,
        priority,
        idempotent,
        attributes,
      }),
      options,
    ),
  );
}

describe('an ambient context', () => {
  it('is what a call inherits that says nothing itself', async () => {
    const attributes = { tenant: 'a' } as never;
    const context = { deadline: 50, clock, priority: 3, idempotent: true, attributes };
    expect(await seenIn(context)).toEqual({
      deadline: 50,
      priority: 3,
      idempotent: true,
      attributes,
    });
  });

  it('gives way to what a call says itself, and has it end no later', async () => {
    const context = { deadline: 50, clock, priority: 3, idempotent: true };
    const own = { deadline: 60, priority: 0, idempotent: false };
    expect(await seenIn(context, own)).toMatchObject({ ...own, deadline: 50 });
    expect(await seenIn(context, { ...own, deadline: 40 })).toMatchObject({ deadline: 40 });
  });

  it('may be measured by another clock', async () => {
    const other = new VirtualClock({ now: 1_000 });
    await clock.advance(7);
    expect(await seenIn({ deadline: 1_020, clock: other })).toMatchObject({ deadline: 27 });
    expect(await seenIn({ deadline: Infinity, clock: other })).toMatchObject({
      deadline: Infinity,
    });
  });

  it('whose deadline has passed lets nothing start', async () => {
    const operation = vi.fn();
    await clock.advance(10);
    const call = storage.run({ deadline: 10, clock }, () => pipeline({ clock }).execute(operation));
    await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT', strategy: 'deadline' });
    expect(operation).not.toHaveBeenCalled();
  });

  it('is handed down by an operation: its deadline, and what it says', async () => {
    const outer = pipeline(timeout({ duration: 30, clock }));
    const inner = pipeline({ clock });
    const seen = await outer.execute(
      async () => {
        await Promise.resolve();
        return inner.execute(({ deadline, priority }) => ({ deadline, priority }));
      },
      { deadline: 100, priority: 4 },
    );
    expect(seen).toEqual({ deadline: 30, priority: 4 });
  });

  it('does not hand down that a call must not be repeated: its parts may', async () => {
    const operation = vi.fn(fail);
    const call = pipeline({ clock }).execute(() => retryOf().execute(operation), {
      idempotent: false,
    });
    await expect(clock.runUntilSettled(call)).rejects.toBe(down);
    expect(operation).toHaveBeenCalledTimes(3);
  });

  it('tells its deadline to who asks', () => {
    const other = new VirtualClock({ now: 1_000 });
    storage.run({ deadline: 20, clock }, () => {
      expect([ambientDeadline(clock), ambientDeadline(other)]).toEqual([20, 1_020]);
    });
    expect(ambientDeadline(clock)).toBe(Infinity);
    end();
    expect(storage.run({ deadline: 20, clock }, () => ambientDeadline(clock))).toBe(Infinity);
  });

  it('ends with its provider, which the former one follows', async () => {
    const second = provideAmbient({ ...provider, current: () => ({ priority: 9 }) });
    expect(await seenIn({ priority: 1 })).toMatchObject({ priority: 9 });
    second();
    second();
    expect(await seenIn({ priority: 1 })).toMatchObject({ priority: 1 });
    end();
    expect(await seenIn({ priority: 1, deadline: 0, clock })).toMatchObject({
      priority: 0,
      deadline: Infinity,
    });
  });
});

describe('who repeats', () => {
  it('is the outermost retry: one within its operation makes one attempt', async () => {
    const operation = vi.fn(fail);
    const inner = pipeline(retryOf());
    const recorder = recordEvents(inner);
    const call = retryOf().execute(() => inner.execute(operation));
    await expect(clock.runUntilSettled(call)).rejects.toBe(down);
    expect(operation).toHaveBeenCalledTimes(3);
    expect(recorder.of('retry.exhausted')).toMatchObject(
      Array.from({ length: 3 }, () => ({ reason: 'nested', delays: [], attempt: 1 })),
    );
  });

  it('is each of them without a provider', async () => {
    end();
    const operation = vi.fn(fail);
    const call = retryOf().execute(() => pipeline(retryOf()).execute(operation));
    await expect(clock.runUntilSettled(call)).rejects.toBe(down);
    expect(operation).toHaveBeenCalledTimes(9);
  });

  it('is the inner one as well where it asks for that', async () => {
    const operation = vi.fn(fail);
    const inner = pipeline(retryOf({ whenNested: 'repeat' }));
    const call = retryOf().execute(() => inner.execute(operation));
    await expect(clock.runUntilSettled(call)).rejects.toBe(down);
    expect(operation).toHaveBeenCalledTimes(9);
  });

  it.each([
    ['makes one attempt', { maxAttempts: 1 }, undefined],
    ['serves a call that must not be repeated', {}, { idempotent: false }],
  ])('is the inner one where the outer %s', async (_case, options, callOptions) => {
    const operation = vi.fn(fail);
    const inner = pipeline(retryOf());
    const call = retryOf(options).execute(
      () => inner.execute(operation, { idempotent: true }),
      callOptions,
    );
    await expect(clock.runUntilSettled(call)).rejects.toBe(down);
    expect(operation).toHaveBeenCalledTimes(3);
  });

  it('are two retries that stand in one pipeline, as without a context', async () => {
    const operation = vi.fn(fail);
    const call = pipeline(retryOf(), pipeline(retryOf())).execute(operation);
    await expect(clock.runUntilSettled(call)).rejects.toBe(down);
    expect(operation).toHaveBeenCalledTimes(9);
  });

  it.each([
    ['passes through a hedge', undefined, 1],
    ['starts a hedge that asks for it', 'repeat' as const, 2],
  ])('within a repeated operation %s', async (_case, whenNested, attempts) => {
    const operation = vi.fn(({ attempt }: Call) => (attempt === 1 ? fail() : 'up'));
    const inner = pipeline(hedge({ delay: Infinity, idempotent: true, whenNested, clock }));
    const call = storage.run({ retried: true }, () => inner.execute(operation));
    await clock.runUntilSettled(call).catch(() => {});
    expect(operation).toHaveBeenCalledTimes(attempts);
  });
});

describe('contextHeaders', () => {
  const headersOf = (call: Call, overrides?: AmbientContext) =>
    JSON.parse(contextHeaders(call, overrides)?.context ?? 'null');

  it('tell what the call hands down', async () => {
    const context = { priority: 2, attributes: { secret: 1 } as never };
    const headers = await storage.run(context, () =>
      pipeline(retryOf(), timeout({ duration: 20, clock })).execute((call) => headersOf(call), {
        idempotent: true,
      }),
    );
    expect(headers).toMatchObject({ deadline: 20, priority: 2, idempotent: true, retried: true });
  });

  it('may be told otherwise', async () => {
    const headers = await retryOf().execute((call) => headersOf(call, { retried: false }));
    expect(headers).toMatchObject({ retried: false });
  });

  it('are none without a provider', async () => {
    end();
    expect(await retryOf().execute((call) => headersOf(call))).toBe(null);
  });
});
