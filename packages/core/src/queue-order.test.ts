import { recordEvents, VirtualClock } from '@resil/testing';
import { describe, expect, it, vi } from 'vitest';
import { deferred } from '../test/deferred.js';
import { adaptiveLimiter } from './adaptive-limiter.js';
import type { AdaptiveLimiterOptions } from './adaptive-limiter-options.js';
import { earlyRejectionDefaults, earlyRejectionRatio } from './queue-order.js';

describe('early rejection', () => {
  it.each([
    [19, 0],
    [20, 0],
    [25, 0.5],
    [30, 1],
    [31, 1],
  ])(
    "is failsafe-go's: with a limit of 10 and %i in the queue, %f of the calls",
    (waiting, ratio) => {
      expect(earlyRejectionRatio(waiting, 10, earlyRejectionDefaults)).toBe(ratio);
    },
  );

  /** A limiter of one call, with `waiting` behind it, and one more that comes. */
  function oneMore(waiting: number, options: AdaptiveLimiterOptions) {
    const clock = new VirtualClock();
    const chance = vi.fn(() => 0);
    const layer = adaptiveLimiter({
      clock,
      initialLimit: 10,
      maxQueueSize: 100,
      queueTimeout: Infinity,
      random: () => chance(),
      earlyRejection: true,
      ...options,
    });
    const held = deferred();
    chance.mockReturnValue(0.999_999);
    const calls = Array.from({ length: 10 + waiting }, () => layer.execute(() => held.promise));
    const recorder = recordEvents(layer);
    const last = (random: number) => {
      chance.mockReturnValue(random);
      return layer.execute(() => held.promise);
    };
    const end = async () => {
      held.resolve();
      await Promise.all(calls);
    };
    return { layer, recorder, last, end };
  }

  it('refuses by chance, without running the operation, and tells', async () => {
    const { layer, recorder, last, end } = oneMore(25, {});
    await expect(last(0.499)).rejects.toMatchObject({ code: 'RESIL_LIMIT_EXCEEDED', waiting: 25 });
    const waits = last(0.5);
    expect(layer.waiting).toBe(26);
    expect(recorder.of('limiter.rejected')).toMatchObject([{ reason: 'early', waiting: 25 }]);
    expect(layer.describe()).toMatchObject({
      options: { earlyRejection: { minQueueFactor: 2, maxQueueFactor: 3 } },
      counters: { rejected: 1, queued: 26 },
    });
    await Promise.all([waits, end()]);
  });

  it('is off by default, and has bounds of its own where they are given', async () => {
    const off = oneMore(25, { earlyRejection: undefined });
    await Promise.all([off.last(0), off.end()]);
    expect(off.layer.describe().options).toMatchObject({ earlyRejection: false });
    const own = oneMore(5, { earlyRejection: { minQueueFactor: 0, maxQueueFactor: 1 } });
    await expect(own.last(0.499)).rejects.toMatchObject({ code: 'RESIL_LIMIT_EXCEEDED' });
    await Promise.all([own.last(0.5), own.end()]);
  });

  it('only tells in observe mode', async () => {
    const { recorder, last, end } = oneMore(25, { mode: 'observe' });
    await Promise.all([last(0), end()]);
    expect(recorder.of('limiter.rejected')).toMatchObject([{ reason: 'early', observed: true }]);
  });
});
