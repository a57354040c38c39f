import { getEventListeners } from 'node:events';
import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  bulkhead,
  type Call,
  circuitBreaker,
  pipeline,
  retry,
  standard,
  timeout,
} from '../../src/index.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);
const hang = (): Promise<never> => new Promise(() => {});
const cooperative = ({ signal }: Call): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

let clock: VirtualClock;
let controller: AbortController;
beforeEach(() => {
  clock = new VirtualClock();
  controller = new AbortController();
});

describe('aborts', () => {
  it('many calls on a long-lived signal leave no listener and cause no warning', async () => {
    const warnings: string[] = [];
    const listener = ({ name }: Error): void => void warnings.push(name);
    process.on('warning', listener);
    const calls = standard({ clock });
    const { signal } = controller;
    for (let call = 0; call < 50; call++) {
      await calls.execute(async (own) => own.signal.aborted, { signal });
    }
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', listener);
    expect([getEventListeners(signal, 'abort').length, warnings]).toEqual([0, []]);
  });

  it('signals are derived by hand: neither AbortSignal.any nor AbortSignal.timeout is used', async () => {
    const any = vi.spyOn(AbortSignal, 'any');
    const platformTimeout = vi.spyOn(AbortSignal, 'timeout');
    const calls = pipeline({ clock }, timeout(), retry(), pipeline(bulkhead({ timeout: 50 })));
    const call = calls.execute(cooperative, { signal: controller.signal });
    await clock.runUntilSettled(call).catch(() => {});
    expect([any.mock.calls.length, platformTimeout.mock.calls.length]).toEqual([0, 0]);
  });

  it('the signal reaches the operation in every state of a circuit, reason and all', async () => {
    const breaker = circuitBreaker({ clock, failureThreshold: 1, resetTimeout: 100 });
    for (const state of ['closed', 'half-open']) {
      if (state === 'half-open') {
        await breaker.execute(fail).catch(() => {});
        await clock.advance(100);
      }
      expect(breaker.state).toBe(state);
      const own = new AbortController();
      const call = breaker.execute(cooperative, { signal: own.signal });
      own.abort(`while ${state}`);
      await expect(call).rejects.toBe(`while ${state}`);
    }
  });

  it('an abort in the backoff settles the call at once and the function is not called again', async () => {
    const operation = vi.fn(fail);
    const call = retry({ clock, baseDelay: 300, jitter: 'none' }).execute(operation, {
      signal: controller.signal,
    });
    await clock.advance(50);
    controller.abort('gone');
    await expect(call).rejects.toBe('gone');
    expect(clock.now()).toBe(50);
    await clock.advance(10_000);
    expect(operation).toHaveBeenCalledTimes(1);
  });

  it('an aborted backoff of a minute leaves no timer that would keep the process alive', async () => {
    const call = retry({ clock, baseDelay: 60_000, jitter: 'none' }).execute(fail, {
      signal: controller.signal,
    });
    await clock.advance(50);
    controller.abort('gone');
    await call.catch(() => {});
    await clock.advance(20);
    expect(clock.pending).toBe(0);
  });

  it('the abort of a caller inside a timeout is no timeout: no such event, no such error', async () => {
    const calls = pipeline({ clock }, timeout({ duration: 1_000 }));
    const recorder = recordEvents(calls);
    const call = calls.execute(cooperative, { signal: controller.signal });
    const reason = new Error('user left');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(recorder.of('timeout.expired')).toEqual([]);
  });

  it('the reason that a timeout aborts with is the timeout error itself', async () => {
    let reason: unknown;
    const call = timeout({ clock, duration: 1_000 }).execute(({ signal }) => {
      signal.addEventListener('abort', () => {
        reason = signal.reason;
      });
      return hang();
    });
    await clock.advance(1_000);
    const error = await call.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'RESIL_TIMEOUT' });
    expect(reason).toBe(error);
  });

  it('a timeout can be told from a cancellation, and be retried where the other is not', async () => {
    const calls = pipeline(
      { clock },
      retry({ maxAttempts: 3, baseDelay: 1 }),
      timeout({ duration: 100 }),
    );
    const slow = vi.fn(({ attempt }: Call) => (attempt === 1 ? hang() : 'second'));
    await expect(clock.runUntilSettled(calls.execute<string>(slow))).resolves.toBe('second');
    const cancelled = vi.fn(cooperative);
    const call = calls.execute(cancelled, { signal: controller.signal });
    controller.abort('gone');
    await expect(call).rejects.toBe('gone');
    expect([slow.mock.calls.length, cancelled.mock.calls.length]).toEqual([2, 1]);
  });

  it('one call that times out does not abort its healthy siblings', async () => {
    const layer = timeout({ clock, duration: 100 });
    const signals: AbortSignal[] = [];
    const late = layer.execute(({ signal }) => {
      signals.push(signal);
      return hang();
    });
    await clock.advance(60);
    const healthy = layer.execute(({ signal }) => {
      signals.push(signal);
      return new Promise((resolve) => clock.schedule(() => resolve('fine'), 60));
    });
    await clock.advance(60);
    await expect(late).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
    await expect(healthy).resolves.toBe('fine');
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
  });

  it('success never aborts anything', async () => {
    const heard = vi.fn();
    let given: AbortSignal | undefined;
    await pipeline({ clock }, timeout(), retry(), timeout({ duration: 50 })).execute(
      async (call) => {
        call.onAbort(heard);
        given = call.signal;
        given.addEventListener('abort', heard);
      },
      { signal: controller.signal },
    );
    await clock.advance(60_000);
    controller.abort('after the end');
    expect(heard).not.toHaveBeenCalled();
    expect(given?.aborted).toBe(false);
  });

  it('the reason of our own aborts carries no stack trace', async () => {
    const call = timeout({ clock, duration: 10 }).execute(({ signal }) => {
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    });
    await clock.advance(10);
    const error = (await call.catch((thrown: unknown) => thrown)) as Error;
    expect(error.stack ?? '').not.toMatch(/\n\s+at /);
  });
});
