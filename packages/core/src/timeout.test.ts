import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { deferred } from '../test/deferred.js';
import type { Call } from './call.js';
import type { CallState } from './call-state.js';
import { TimeoutError } from './errors.js';
import type { Strategy } from './layer.js';
import { pipeline } from './pipeline.js';
import { Timeout, timeout, timeoutDefaults } from './timeout.js';

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

const after = <T>(delay: number, value: T): Promise<T> =>
  new Promise((resolve) => clock.schedule(() => resolve(value), delay));

describe('timeout', () => {
  it('gives an instance of its class, with the defaults', () => {
    expect(timeout()).toBeInstanceOf(Timeout);
    expect(timeout().name).toBe('timeout');
    expect(timeout().duration).toBe(timeoutDefaults.duration);
  });

  it('lets through what settles in time', async () => {
    const layer = timeout({ clock, duration: 100 });
    const recorder = recordEvents(layer);
    await expect(clock.runUntilSettled(layer.execute(() => after(99, 'in time')))).resolves.toBe(
      'in time',
    );
    const down = new Error('down');
    await expect(layer.execute(() => Promise.reject(down))).rejects.toBe(down);
    await clock.advance(20);
    expect(clock.pending).toBe(0);
    expect(recorder.of('timeout.expired')).toEqual([]);
  });

  it('frees the caller when the duration is over, and not before', async () => {
    const layer = timeout({ clock, duration: 100, name: 'quotes' });
    const recorder = recordEvents(layer);
    let settled = false;
    const call = layer.execute(() => new Promise(() => {}));
    call.catch(() => {
      settled = true;
    });
    await clock.advance(99);
    expect(settled).toBe(false);
    await clock.advance(1);
    await expect(call).rejects.toBeInstanceOf(TimeoutError);
    await expect(call).rejects.toMatchObject({
      code: 'RESIL_TIMEOUT',
      message: "'quotes' expired after 100 ms",
      strategy: 'quotes',
      timeout: 100,
      refusal: false,
    });
    expect(recorder.events).toMatchObject([
      { type: 'call.started' },
      { type: 'timeout.expired', strategy: 'quotes', duration: 100, at: 100 },
      { type: 'call.failed', duration: 100 },
    ]);
  });

  it("aborts the call's signal with the error that the caller gets", async () => {
    let given: AbortSignal | undefined;
    const heard = vi.fn();
    const call = timeout({ clock, duration: 100 }).execute(({ signal, onAbort }) => {
      given = signal;
      expect(onAbort).toBeTypeOf('function');
      signal.addEventListener('abort', () => heard(signal.reason));
      return new Promise(() => {});
    });
    expect(given?.aborted).toBe(false);
    await clock.advance(100);
    const error = await call.catch((reason: unknown) => reason);
    expect(given?.aborted).toBe(true);
    expect(given?.reason).toBe(error);
    expect(heard.mock.calls).toEqual([[error]]);
  });

  it('shows a signal that is read after it expired as aborted', async () => {
    let late: Call | undefined;
    const call = timeout({ clock, duration: 100 }).execute((own) => {
      late = own;
      return new Promise(() => {});
    });
    await clock.advance(100);
    const error = await call.catch((reason: unknown) => reason);
    expect([late?.aborted, late?.reason, late?.cancelled]).toEqual([true, error, false]);
    expect(late?.signal.aborted).toBe(true);
    expect(late?.signal.reason).toBe(error);
    const listener = vi.fn();
    late?.onAbort(listener);
    expect(listener.mock.calls).toEqual([[error]]);
  });

  it('aborts nothing after success: what was returned lives on', async () => {
    const caller = new AbortController();
    let given: AbortSignal | undefined;
    const call = timeout({ clock, duration: 100 }).execute(
      async ({ signal }) => {
        given = signal;
        return 'stream';
      },
      { signal: caller.signal },
    );
    await call;
    await clock.advance(1_000);
    expect(given?.aborted).toBe(false);
  });

  it('ignores what the work gives after the timeout, without an unhandled rejection', async () => {
    const held = deferred<string>();
    const call = timeout({ clock, duration: 100 }).execute(() => held.promise);
    await clock.advance(100);
    held.reject(new Error('late'));
    await expect(call).rejects.toBeInstanceOf(TimeoutError);
    await clock.flush();
  });

  it('shows the operation its deadline and what remains of it', async () => {
    const call = timeout({ clock, duration: 100 }).execute(async (own) => {
      const seen = [own.deadline, own.remaining()];
      await after(40, undefined);
      return [...seen, own.remaining(), own.now()];
    });
    await expect(clock.runUntilSettled(call)).resolves.toEqual([100, 100, 60, 40]);
  });

  it('never expires with a duration of Infinity, and takes no timer', async () => {
    const held = deferred<string>();
    const call = timeout({ clock, duration: Infinity }).execute(({ deadline }) => {
      expect(deadline).toBe(Infinity);
      return held.promise;
    });
    expect(clock.pending).toBe(0);
    await clock.advance(1e12);
    held.resolve('at last');
    await expect(call).resolves.toBe('at last');
  });

  it('expires no earlier than its duration, fractions of a millisecond included', async () => {
    await clock.advance(0.75);
    const call = timeout({ clock, duration: 10.5 }).execute(() => new Promise(() => {}));
    let settledAt = 0;
    call.catch(() => {
      settledAt = clock.now();
    });
    await clock.advance(20);
    await expect(call).rejects.toMatchObject({ timeout: 10.5 });
    expect(settledAt).toBeGreaterThanOrEqual(11.25);
    expect(settledAt).toBeLessThan(12.25);
  });

  it('within a shorter deadline gives way to it', async () => {
    const calls = pipeline({ clock }, timeout({ duration: 500, name: 'long' }));
    const call = calls.execute(
      ({ deadline }) =>
        new Promise((_, reject) => {
          if (deadline !== 200) reject(new Error(`deadline ${deadline}`));
        }),
      { deadline: 200 },
    );
    await clock.advance(200);
    await expect(call).rejects.toMatchObject({ code: 'RESIL_TIMEOUT', strategy: 'deadline' });
    await clock.advance(20);
    expect(clock.pending).toBe(0);
  });

  it('around a shorter one: the inner one expires, and the outer one goes on', async () => {
    const calls = pipeline(
      { clock },
      timeout({ duration: 500, name: 'outer' }),
      timeout({ duration: 100, name: 'inner' }),
    );
    const call = calls.execute(() => new Promise(() => {}));
    await clock.advance(100);
    await expect(call).rejects.toMatchObject({ strategy: 'inner', timeout: 100 });
    await clock.advance(20);
    expect(clock.pending).toBe(0);
  });

  it('expires each call by itself', async () => {
    const layer = timeout({ clock, duration: 100 });
    const signals: AbortSignal[] = [];
    const operation = ({ signal }: Call): Promise<string> => {
      signals.push(signal);
      return after(90, 'done');
    };
    const slow = layer.execute(({ signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    });
    await clock.advance(50);
    const healthy = layer.execute(operation);
    await clock.advance(50);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    await expect(slow).rejects.toBeInstanceOf(TimeoutError);
    await clock.advance(40);
    await expect(healthy).resolves.toBe('done');
  });

  it('keeps the timeouts of a thousand calls on one timer', async () => {
    const calls = Array.from({ length: 1_000 }, (_, index) =>
      timeout({ clock, duration: 100 + (index % 50) }).execute(() => new Promise(() => {})),
    );
    const failed = Promise.allSettled(calls);
    expect(clock.pending).toBe(1);
    await clock.advance(150);
    expect((await failed).every(({ status }) => status === 'rejected')).toBe(true);
    await clock.advance(20);
    expect(clock.pending).toBe(0);
  });

  it("can be run by a strategy of one's own", async () => {
    const limit = timeout({ duration: 100, name: 'limit' });
    const own: Strategy = { name: 'own', run: (call, next) => limit.run(call, next) };
    const calls = pipeline({ clock }, own);
    await expect(calls.execute((call) => call.deadline)).resolves.toBe(100);
    const call = calls.execute((inner) => {
      expect((inner as CallState).parent).toBeDefined();
      return new Promise(() => {});
    });
    await clock.advance(100);
    await expect(call).rejects.toMatchObject({ strategy: 'limit' });
  });
});
