import { InvalidOptionError, pipeline, retry, sleep, timeout } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  currentContext,
  currentHeaders,
  installContext,
  remainingTime,
  runDetached,
  runInContext,
} from './context.js';

let clock: VirtualClock;
let uninstall: () => void;
beforeEach(() => {
  clock = new VirtualClock();
  uninstall = installContext();
  return uninstall;
});

describe('runInContext', () => {
  it('gives what the work gives, and ends with it', async () => {
    expect(currentContext()).toBe(undefined);
    expect(runInContext({ priority: 1 }, () => currentContext())).toEqual({ priority: 1 });
    const later = runInContext({ priority: 2 }, async () => {
      await Promise.resolve();
      return currentContext()?.priority;
    });
    expect(currentContext()).toBe(undefined);
    expect(await later).toBe(2);
    const broken = new Error('broken');
    expect(() =>
      runInContext({}, () => {
        throw broken;
      }),
    ).toThrow(broken);
  });

  it('keeps what the work around it has, and the earlier deadline', () => {
    const other = new VirtualClock({ now: 5_000 });
    runInContext({ deadline: 50, clock, priority: 1, idempotent: true }, () => {
      expect(remainingTime()).toBe(50);
      runInContext({ deadline: 5_080, clock: other, priority: 2, idempotent: undefined }, () => {
        expect(currentContext()).toEqual({ deadline: 50, clock, priority: 2, idempotent: true });
      });
      runInContext({ deadline: 5_020, clock: other }, () => {
        expect(remainingTime()).toBe(20);
        expect(currentContext()).toMatchObject({ priority: 1, idempotent: true });
      });
      runInContext({ retried: true }, () => expect(remainingTime()).toBe(50));
    });
    expect(remainingTime()).toBe(Infinity);
  });

  it('is left by what is detached', async () => {
    const seen = runInContext({ deadline: 50, clock, retried: true }, () =>
      runDetached(async () => {
        await Promise.resolve();
        return [currentContext(), remainingTime(), currentHeaders()];
      }),
    );
    expect(await seen).toEqual([undefined, Infinity, {}]);
  });

  it.each([
    ['deadline', NaN, 'must be a point in time, in milliseconds'],
    ['deadline', '5', 'must be a point in time, in milliseconds'],
    ['priority', NaN, 'must be a number'],
    ['idempotent', 'yes', 'must be true or false'],
    ['retried', 1, 'must be true or false'],
    ['clock', {}, 'must be a Clock (now, schedule)'],
    ['attributes', null, 'must be an object'],
    ['timeout', 5, 'is not an option'],
  ])('refuses %s: %s', (name, value, text) => {
    const work = vi.fn();
    expect(() => runInContext({ [name]: value }, work)).toThrow(InvalidOptionError);
    expect(() => runInContext({ [name]: value }, work)).toThrow(`context.${name} ${text}`);
    expect(work).not.toHaveBeenCalled();
  });
});

describe('calls within a context', () => {
  it('inherit it, and hand it down to the calls of their operation', async () => {
    const outer = pipeline(timeout({ duration: 30, clock }), retry({ clock, baseDelay: 1 }));
    const inner = pipeline(timeout({ duration: 500, clock }));
    const call = runInContext({ deadline: 80, clock, priority: 4 }, () =>
      outer.execute(async (first) => {
        expect(first).toMatchObject({ deadline: 30, priority: 4 });
        await sleep(first, 10);
        return inner.execute(async (second) => {
          await sleep(second, 5);
          return { ...currentContext(), left: remainingTime(), headers: currentHeaders() };
        });
      }),
    );
    expect(await clock.runUntilSettled(call)).toEqual({
      deadline: 30,
      clock,
      priority: 4,
      idempotent: undefined,
      retried: true,
      attributes: undefined,
      left: 15,
      headers: { 'resil-deadline': '15', 'resil-context': 'priority=4, retried' },
    });
  });

  it('are cut short by the deadline around them', async () => {
    const calls = pipeline(timeout({ duration: 500, clock }));
    const call = runInContext({ deadline: 20, clock }, () =>
      calls.execute((inner) => sleep(inner, 100)),
    );
    await expect(clock.runUntilSettled(call)).rejects.toMatchObject({
      code: 'RESIL_TIMEOUT',
      strategy: 'deadline',
    });
    expect(clock.now()).toBe(20);
  });

  it('are repeated by the outermost retry alone, however deep they are nested', async () => {
    const operation = vi.fn(() => Promise.reject(new Error('down')));
    const layer = () => pipeline(retry({ clock, maxAttempts: 3, baseDelay: 1 }));
    const [a, b, c] = [layer(), layer(), layer()];
    const call = a.execute(() => b.execute(() => c.execute(operation)));
    await expect(clock.runUntilSettled(call)).rejects.toThrow('down');
    expect(operation).toHaveBeenCalledTimes(3);
  });

  it('inherit until the last who installed it has uninstalled it', async () => {
    const operation = vi.fn(() => Promise.reject(new Error('down')));
    const layer = () => pipeline(retry({ clock, maxAttempts: 3, baseDelay: 1 }));
    const [a, b, c] = [layer(), layer(), layer()];
    const attempts = async () => {
      operation.mockClear();
      const call = a.execute(() => b.execute(() => c.execute(operation)));
      await expect(clock.runUntilSettled(call)).rejects.toThrow('down');
      return operation.mock.calls.length;
    };
    const first = installContext();
    first();
    first();
    expect(await attempts()).toBe(3);
    const second = installContext();
    uninstall();
    expect(await attempts()).toBe(3);
    second();
    expect(await attempts()).toBe(27);
  });
});
