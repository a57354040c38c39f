import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from './clock.js';
import { deadlinesOf } from './deadline-wheel.js';
import { pipeline } from './pipeline.js';
import { retry } from './retry.js';
import { timeout } from './timeout.js';

const LONGEST = 2 ** 31 - 1;

afterEach(() => {
  vi.useRealTimers();
});

describe('systemClock', () => {
  it('tells monotonic time, and the time since 1970 only as epoch', () => {
    const before = performance.now();
    const now = systemClock.now();
    expect(now).toBeGreaterThanOrEqual(before);
    expect(now).toBeLessThanOrEqual(performance.now());
    expect(Math.abs((systemClock.epoch?.() ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  it('runs a callback once after its delay, seen by fake timers that came later', async () => {
    vi.useFakeTimers();
    const callback = vi.fn();
    const start = systemClock.now();
    systemClock.schedule(callback, 100);
    await vi.advanceTimersByTimeAsync(99);
    expect(callback).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(callback).toHaveBeenCalledTimes(1);
    expect(systemClock.now() - start).toBe(100);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(callback).toHaveBeenCalledTimes(1);
  });

  it('cancels, twice and after it ran too', async () => {
    vi.useFakeTimers();
    const callback = vi.fn();
    const cancel = systemClock.schedule(callback, 100);
    cancel();
    cancel();
    await vi.advanceTimersByTimeAsync(200);
    expect(callback).not.toHaveBeenCalled();
    const ran = systemClock.schedule(callback, 0);
    await vi.advanceTimersByTimeAsync(0);
    ran();
    expect(callback).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([
    ['just what setTimeout honours', LONGEST],
    ['one more', LONGEST + 1],
    ['sixty days', 60 * 86_400_000],
    ['five hundred days', 500 * 86_400_000],
  ])('waits for %s: %d ms, and does not fire at once', async (_, delay) => {
    vi.useFakeTimers();
    const callback = vi.fn();
    systemClock.schedule(callback, delay);
    await vi.advanceTimersByTimeAsync(delay - 1);
    expect(callback).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(callback).toHaveBeenCalledTimes(1);
  });

  it('never hands setTimeout a delay that would fire at once', () => {
    const delays: unknown[] = [];
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((_: unknown, delay: number) => {
      delays.push(delay);
      return 0;
    }) as never);
    systemClock.schedule(() => {}, 1e12);
    systemClock.schedule(() => {}, Infinity);
    vi.restoreAllMocks();
    expect(delays).toEqual([LONGEST, LONGEST]);
  });

  it('cancels a long wait after some of its steps', async () => {
    vi.useFakeTimers();
    const callback = vi.fn();
    const cancel = systemClock.schedule(callback, 3 * LONGEST);
    await vi.advanceTimersByTimeAsync(2 * LONGEST + 5);
    cancel();
    await vi.advanceTimersByTimeAsync(2 * LONGEST);
    expect(callback).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a pipeline on the system clock', () => {
  const hang = (): Promise<never> => new Promise(() => {});

  it('follows fake timers that are put on and taken off again and again', async () => {
    const calls = pipeline(timeout({ duration: 30_000 }));
    for (let round = 0; round < 3; round++) {
      vi.useFakeTimers();
      const faked = calls.execute(hang);
      const failed = expect(faked).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
      await vi.advanceTimersByTimeAsync(30_001);
      await failed;
      vi.useRealTimers();
      await expect(calls.execute(() => 'up')).resolves.toBe('up');
      await expect(pipeline(timeout({ duration: 1 })).execute(hang)).rejects.toMatchObject({
        code: 'RESIL_TIMEOUT',
      });
    }
  });

  it('loses no deadline that was pending when fake timers were put on', async () => {
    // As in a process that has been up for a day, or in workerd, where it is the time since 1970.
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 86_400_000);
    const real = pipeline(timeout({ duration: 40 })).execute(hang);
    const failedReal = expect(real).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
    vi.useFakeTimers();
    const faked = pipeline(timeout({ duration: 30_000 })).execute(hang);
    const failed = expect(faked).rejects.toMatchObject({ code: 'RESIL_TIMEOUT' });
    await vi.advanceTimersByTimeAsync(30_001);
    await failed;
    vi.useRealTimers();
    await failedReal;
  });

  it('expires in real time though a fake timer was left that would have come before', async () => {
    const ahead = systemClock.now() + 50;
    vi.useFakeTimers();
    // Leaves the shared timer armed for a time that lies between now and the next deadline.
    await pipeline(timeout({ duration: ahead - systemClock.now() })).execute(() => 1);
    vi.useRealTimers();
    await expect(pipeline(timeout({ duration: 200 })).execute(hang)).rejects.toMatchObject({
      code: 'RESIL_TIMEOUT',
    });
  });

  it('expires in real time again after fake time ran far ahead', async () => {
    vi.useFakeTimers();
    await vi.advanceTimersByTimeAsync(1e9);
    await pipeline(timeout({ duration: 1e9 })).execute(() => 1);
    vi.useRealTimers();
    await expect(pipeline(timeout({ duration: 5 })).execute(hang)).rejects.toMatchObject({
      code: 'RESIL_TIMEOUT',
    });
  });

  it('retries under fake timers', async () => {
    vi.useFakeTimers();
    const operation = vi.fn(({ attempt }: { attempt: number }) =>
      attempt < 3 ? Promise.reject(new Error('down')) : attempt,
    );
    const call = retry({ baseDelay: 1_000, jitter: 'none' }).execute(operation);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(operation).toHaveBeenCalledTimes(2);
    await vi.advanceTimersByTimeAsync(2_000);
    await expect(call).resolves.toBe(3);
  });

  it('lets its timer go in real time, also when fake timers were taken off just before', async () => {
    vi.useFakeTimers();
    await pipeline(timeout({ duration: 60_000 })).execute(() => 1);
    vi.useRealTimers();
    const timers = trackTimers();
    await pipeline(timeout({ duration: 60_000 })).execute(() => 1);
    expect(timers.pending()).toBeGreaterThan(0);
    await vi.waitFor(() => expect(timers.pending()).toBe(0), { timeout: 10_000, interval: 10 });
    timers.stop();
    expect(deadlinesOf(systemClock).size).toBe(0);
  });
});

/** Counts the timers that were set and neither ran nor were cleared. */
function trackTimers(): { pending(): number; stop(): void } {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const pending = new Set<unknown>();
  globalThis.setTimeout = ((callback: () => void, delay: number) => {
    const timer = set(() => {
      pending.delete(timer);
      callback();
    }, delay);
    // vitest's own waiting is not what is counted.
    if (/\bschedule\b/.test(new Error().stack ?? '')) pending.add(timer);
    return timer;
  }) as never;
  globalThis.clearTimeout = ((timer: ReturnType<typeof set>) => {
    pending.delete(timer);
    clear(timer);
  }) as never;
  return {
    pending: () => pending.size,
    stop() {
      globalThis.setTimeout = set;
      globalThis.clearTimeout = clear;
    },
  };
}
