import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { hostOn, refuses, startedCall } from '../test/started-call.js';
import { reportErrorsTo } from './emitter.js';
import { RateLimitedError } from './errors.js';
import { type Pipeline, pipeline } from './pipeline.js';
import { RateLimiter, rateLimiter } from './rate-limiter.js';
import {
  type RateLimiterOptions,
  type RateQuota,
  rateLimiterDefaults,
  slowestQuota,
} from './rate-limiter-options.js';

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

/** A limiter in a pipeline on virtual time. */
function benchOf(options: RateLimiterOptions): { layer: RateLimiter; calls: Pipeline } {
  const layer = rateLimiter({ clock, ...options });
  return { layer, calls: pipeline({ clock }, layer) };
}

/** Starts so many calls at once and gives when each was let go, or the code of its refusal. */
async function volley(calls: Pipeline, count: number): Promise<(number | string)[]> {
  const all = Array.from({ length: count }, () =>
    calls.execute(() => clock.now()).catch(({ code }) => code as string),
  );
  return clock.runUntilSettled(Promise.all(all));
}

/** The times at which a call that does not wait is let in, when one comes each `step` ms. */
function admitted(layer: RateLimiter, until: number, step = 1): number[] {
  const call = startedCall(hostOn(clock));
  const times: number[] = [];
  for (let now = 0; now < until; now += step) {
    if (!refuses(layer, call)) times.push(clock.now());
    clock.tick(step);
  }
  return times;
}

describe('rateLimiter', () => {
  it('gives an instance of its class', () => {
    expect(rateLimiter()).toBeInstanceOf(RateLimiter);
    expect([rateLimiter().name, rateLimiter({ name: 'api' }).name]).toEqual([
      'rate-limiter',
      'api',
    ]);
  });

  describe('smooth', () => {
    it('lets one call go per interval / maxCalls, never two closer', () => {
      const { layer } = benchOf({ maxCalls: 4, interval: 1_000, maxQueueSize: 0 });
      expect(admitted(layer, 2_000)).toEqual([0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750]);
    });

    it('saves nothing up', () => {
      const { layer } = benchOf({ maxCalls: 4, interval: 1_000, maxQueueSize: 0 });
      clock.tick(60_000);
      expect(layer.available).toBe(1);
      expect(admitted(layer, 500)).toEqual([60_000, 60_250]);
    });

    it('counts from the turn taken, not from a grid: a call that comes late has a pace to itself', () => {
      const { layer } = benchOf({ maxCalls: 10, interval: 1_000, maxQueueSize: 0 });
      expect(admitted(layer, 10)).toEqual([0]);
      clock.tick(140);
      expect(admitted(layer, 200)).toEqual([150, 250]);
    });

    it('keeps a third of a second exactly', () => {
      const { layer } = benchOf({ maxCalls: 3, interval: 100, maxQueueSize: 0 });
      expect(admitted(layer, 300, 100 / 3)).toHaveLength(9);
      expect(rateLimiterDefaults.burstSize).toBe(1);
    });
  });

  describe('bursty', () => {
    it('lets burstSize calls go at once, then one per pace', () => {
      const { layer } = benchOf({ maxCalls: 10, interval: 1_000, burstSize: 3, maxQueueSize: 0 });
      const call = startedCall(hostOn(clock));
      expect(layer.available).toBe(3);
      expect([1, 2, 3, 4].map(() => refuses(layer, call))).toEqual([false, false, false, true]);
      expect(layer.available).toBe(0);
      expect(admitted(layer, 350)).toEqual([100, 200, 300]);
    });

    it('fills up to burstSize and no further, a token per pace', () => {
      const { layer } = benchOf({ maxCalls: 10, interval: 1_000, burstSize: 3, maxQueueSize: 0 });
      const call = startedCall(hostOn(clock));
      for (let count = 0; count < 3; count++) layer.enter(call);
      const filling = [];
      for (let step = 0; step < 6; step++) {
        filling.push(layer.available);
        clock.tick(99);
      }
      expect(filling).toEqual([0, 0, 1, 2, 3, 3]);
      clock.tick(100_000);
      expect(layer.available).toBe(3);
    });

    it('fits no second burst around the end of an interval', () => {
      const { layer } = benchOf({
        maxCalls: 100,
        interval: 1_000,
        burstSize: 100,
        maxQueueSize: 0,
      });
      const call = startedCall(hostOn(clock));
      clock.tick(990);
      let early = 0;
      for (let count = 0; count < 200; count++) if (!refuses(layer, call)) early++;
      clock.tick(20);
      let late = 0;
      for (let count = 0; count < 200; count++) if (!refuses(layer, call)) late++;
      // A fixed window would let 100 go on each side.
      expect([early, late]).toEqual([100, 2]);
    });
  });

  describe('queue', () => {
    it('lets those who wait go at their turns, first come, first served', async () => {
      const { layer, calls } = benchOf({ maxCalls: 10, interval: 1_000 });
      const order: number[] = [];
      const all = [1, 2, 3, 4].map((id) => calls.execute(() => order.push(id)));
      expect([layer.waiting, layer.delay]).toEqual([3, 400]);
      const times = await volley(calls, 2);
      await Promise.all(all);
      expect([order, times]).toEqual([
        [1, 2, 3, 4],
        [400, 500],
      ]);
    });

    it('gives a turn to nobody who comes later', async () => {
      const { calls } = benchOf({ maxCalls: 10, interval: 1_000 });
      const order: string[] = [];
      void calls.execute(() => order.push('first'));
      void calls.execute(() => order.push('waits'));
      // Comes at the very moment of the turn, before the timer.
      clock.schedule(() => void calls.execute(() => order.push('newcomer')), 100);
      await clock.advance(300);
      expect(order).toEqual(['first', 'waits', 'newcomer']);
    });

    it('of nobody refuses at once, and says when to come again', async () => {
      const { calls } = benchOf({ maxCalls: 10, interval: 1_000, maxQueueSize: 0, name: 'api' });
      const recorder = recordEvents(calls);
      await calls.execute(() => 1);
      await clock.advance(40);
      const operation = vi.fn();
      const refused = calls.execute(operation);
      await expect(refused).rejects.toBeInstanceOf(RateLimitedError);
      await expect(refused).rejects.toMatchObject({
        code: 'RESIL_RATE_LIMITED',
        message: "rate limiter 'api' has no turn for this call; try again in 60 ms",
        strategy: 'api',
        retryAfter: 60,
        waiting: 0,
        refusal: true,
      });
      expect(operation).not.toHaveBeenCalled();
      expect(recorder.of('rate-limit.rejected')).toMatchObject([{ reason: 'full', waiting: 0 }]);
      await clock.advance(60);
      await expect(calls.execute(() => 'in')).resolves.toBe('in');
    });

    it('refuses the one that finds it full', async () => {
      const { calls } = benchOf({ maxCalls: 10, interval: 1_000, maxQueueSize: 2 });
      expect(await volley(calls, 5)).toEqual([
        0,
        100,
        200,
        'RESIL_RATE_LIMITED',
        'RESIL_RATE_LIMITED',
      ]);
    });

    it('refuses at once who would wait longer than queueTimeout', async () => {
      const { layer, calls } = benchOf({ maxCalls: 10, interval: 1_000, queueTimeout: 250 });
      const recorder = recordEvents(calls);
      const times = volley(calls, 5);
      expect(layer.waiting).toBe(2);
      expect(recorder.of('rate-limit.rejected')).toMatchObject([
        { reason: 'queue-timeout', at: 0, waiting: 2 },
        { reason: 'queue-timeout', at: 0 },
      ]);
      expect((await times).slice(0, 3)).toEqual([0, 100, 200]);
      // Its turn would be 300 ms away: in 50 ms it is near enough.
      const again = benchOf({ maxCalls: 10, interval: 1_000, queueTimeout: 250 });
      void volley(again.calls, 3).catch(() => {});
      await expect(again.calls.execute(() => 1)).rejects.toMatchObject({ retryAfter: 50 });
    });

    it('lets go who waits exactly queueTimeout', async () => {
      const { calls } = benchOf({ maxCalls: 10, interval: 1_000, queueTimeout: 300 });
      expect(await volley(calls, 4)).toEqual([0, 100, 200, 300]);
    });

    it('refuses at once who could not begin before its deadline', async () => {
      const { layer, calls } = benchOf({ maxCalls: 10, interval: 1_000 });
      const recorder = recordEvents(calls);
      for (let count = 0; count < 3; count++) void calls.execute(() => 1);
      const operation = vi.fn();
      const call = calls.execute(operation, { deadline: 300 });
      expect(layer.waiting).toBe(2);
      await expect(call).rejects.toMatchObject({ code: 'RESIL_RATE_LIMITED', retryAfter: 300 });
      expect(recorder.of('rate-limit.rejected')).toMatchObject([{ reason: 'deadline' }]);
      const inTime = calls.execute(() => clock.now(), { deadline: 301 });
      await clock.advance(300);
      await expect(inTime).resolves.toBe(300);
    });

    it('gives the turn of one that was aborted to the next', async () => {
      const { layer, calls } = benchOf({ maxCalls: 10, interval: 1_000 });
      const recorder = recordEvents(calls);
      void calls.execute(() => 1);
      const caller = new AbortController();
      const operation = vi.fn();
      const gone = calls.execute(operation, { signal: caller.signal });
      const next = calls.execute(() => clock.now());
      caller.abort('gone');
      expect(layer.waiting).toBe(1);
      await expect(gone).rejects.toBe('gone');
      await expect(clock.runUntilSettled(next)).resolves.toBe(100);
      expect(operation).not.toHaveBeenCalled();
      expect(recorder.of('rate-limit.rejected')).toMatchObject([{ reason: 'aborted' }]);
    });

    it('tells who waits, and for how long', async () => {
      const { calls } = benchOf({ maxCalls: 10, interval: 1_000 });
      const recorder = recordEvents(calls);
      await volley(calls, 3);
      const told = recorder.events.filter(({ type }) => type.startsWith('rate-limit.'));
      expect(told).toMatchObject([
        { type: 'rate-limit.queued', waiting: 1, at: 0 },
        { type: 'rate-limit.queued', waiting: 2, at: 0 },
        { type: 'rate-limit.dequeued', duration: 100, at: 100 },
        { type: 'rate-limit.dequeued', duration: 200, at: 200 },
      ]);
    });

    it('leaves no timer behind, whoever left it how', async () => {
      const { calls } = benchOf({ maxCalls: 10, interval: 1_000 });
      await volley(calls, 3);
      const caller = new AbortController();
      void calls.execute(() => 1);
      const gone = calls.execute(() => 1, { signal: caller.signal });
      caller.abort('gone');
      await expect(gone).rejects.toBe('gone');
      await clock.advance(120);
      expect(clock.pending).toBe(0);
    });

    it('loses no rate by the grain of timers', async () => {
      const { calls } = benchOf({
        maxCalls: 10_000,
        interval: 1_000,
        maxQueueSize: 20_000,
        queueTimeout: Infinity,
      });
      const times = (await volley(calls, 10_001)) as number[];
      expect(times.at(-1)).toBe(1_000);
      for (let ms = 1; ms < 1_000; ms++) expect(times[ms * 10]).toBe(ms);
    });

    it('makes up for nothing that a stalled process missed', async () => {
      let missed = 0;
      const stalling = {
        now: () => clock.now() + missed,
        schedule: (callback: () => void, delay: number) => clock.schedule(callback, delay),
      };
      const layer = rateLimiter({ clock: stalling, maxCalls: 100, interval: 1_000 });
      const calls = pipeline({ clock: stalling }, layer);
      const times: number[] = [];
      const all = Array.from({ length: 50 }, () => calls.execute(() => times.push(stalling.now())));
      missed = 200;
      await clock.runUntilSettled(Promise.all(all));
      // Twenty turns went by unused; those let go together are one, and what 5 ms more bring.
      const together = times.filter((time) => time < 300).length;
      expect(together).toBeLessThanOrEqual(2 + 10);
      expect(times.at(-1)).toBeGreaterThan(600);
    });
  });

  describe('a server that asks to wait', () => {
    const busy = (retryAfter: number): Error => Object.assign(new Error('429'), { retryAfter });
    const classify: RateLimiterOptions['classify'] = (outcome) =>
      outcome.ok
        ? 'success'
        : {
            kind: 'failure',
            repeat: true,
            retryAfter: (outcome.error as { retryAfter: number }).retryAfter,
          };

    it('by a verdict is obeyed by all calls', async () => {
      const { layer, calls } = benchOf({
        maxCalls: 100,
        interval: 1_000,
        classify,
        queueTimeout: 5_000,
      });
      const recorder = recordEvents(calls);
      const waiting = [1, 2, 3].map(() => calls.execute(() => clock.now()));
      await expect(
        clock.runUntilSettled(calls.execute(() => Promise.reject(busy(2_000)))),
      ).rejects.toThrow('429');
      expect(clock.now()).toBe(30);
      expect(layer.delay).toBe(2_000);
      expect(await volley(calls, 3)).toEqual([2_030, 2_040, 2_050]);
      expect(await Promise.all(waiting)).toEqual([0, 10, 20]);
      expect(recorder.of('rate-limit.slowed')).toMatchObject([
        { reason: 'retry-after', delay: 2_000, duration: 2_000, strategy: 'rate-limiter' },
      ]);
    });

    it('holds back those who wait already, and refuses them when their time is over', async () => {
      const { layer, calls } = benchOf({ maxCalls: 10, interval: 1_000, queueTimeout: 500 });
      void calls.execute(() => 1);
      const waiting = calls.execute(() => 2);
      layer.slowDown({ retryAfter: 3_000 });
      await clock.advance(499);
      expect(layer.waiting).toBe(1);
      await clock.advance(1);
      await expect(waiting).rejects.toMatchObject({
        code: 'RESIL_RATE_LIMITED',
        retryAfter: 2_500,
      });
      await clock.advance(2_500);
      await expect(calls.execute(() => 'in')).resolves.toBe('in');
    });

    it('has no burst after the pause', async () => {
      const { layer } = benchOf({ maxCalls: 10, interval: 1_000, burstSize: 5, maxQueueSize: 0 });
      layer.slowDown({ retryAfter: 2_000 });
      clock.tick(2_000);
      expect(admitted(layer, 250)).toEqual([2_000, 2_100, 2_200]);
    });

    it('is obeyed for maxRetryAfter at most, and the longest of several counts', () => {
      const { layer } = benchOf({ maxRetryAfter: 10_000 });
      layer.slowDown({ retryAfter: 86_400_000 });
      layer.slowDown({ retryAfter: 5 });
      expect(layer.delay).toBe(10_000);
    });

    it.each([[0], [-5], [Number.NaN]])('for %f is not waited for', (retryAfter) => {
      const { layer } = benchOf({});
      layer.slowDown({ retryAfter });
      expect(layer.delay).toBe(0);
    });
  });

  describe('a quota of the server', () => {
    it('slows down for maxRetryAfter at most, however far away the reset is said to be', () => {
      const { layer } = benchOf({ maxCalls: 10, maxQueueSize: 0, maxRetryAfter: 10_000 });
      layer.slowDown({ quotas: [{ remaining: 1, resetDelay: 315_360_000_000 }] });
      expect(layer.describe().state).toMatchObject({ pace: 10_000 });
      clock.tick(10_000);
      expect(layer.describe().state).toMatchObject({ pace: 100 });
      expect(admitted(layer, 250)).toEqual([10_000, 10_100, 10_200]);
    });

    /** Own pace and burst, quotas, and what they ask: [pause, pace, duration]. */
    it.each<[string, number, number, RateQuota[], [number, number, number]]>([
      ['exhausted is a pause', 10, 1, [{ remaining: 0, resetDelay: 20_000 }], [20_000, 0, 0]],
      ['exhausted without a reset says nothing', 10, 1, [{ remaining: 0 }], [0, 0, 0]],
      ['r=50;t=30 is 50 in 30 s', 10, 1, [{ remaining: 50, resetDelay: 30_000 }], [0, 600, 30_000]],
      [
        'the last exhausted one is waited for',
        10,
        1,
        [
          { remaining: 0, resetDelay: 48_000 },
          { remaining: 10, resetDelay: 5_000 },
        ],
        [48_000, 500, 5_000],
      ],
      [
        'q=10000;w=1000 with r=10000;t=10 is 10 per second, not 1,000',
        10,
        1,
        [{ remaining: 10_000, resetDelay: 10_000, maxCalls: 10_000, interval: 1_000_000 }],
        [0, 100, 10_000],
      ],
      [
        'q=100;w=60 without a reset is its policy',
        10,
        1,
        [{ remaining: 80, maxCalls: 100, interval: 60_000 }],
        [0, 600, 60_000],
      ],
      [
        'that is wider than our own rate changes nothing',
        1_000,
        1,
        [{ remaining: 50, resetDelay: 30_000 }],
        [0, 0, 0],
      ],
      [
        'that our burst would overdraw takes the burst away',
        1_000,
        40,
        [{ remaining: 50, resetDelay: 30_000 }],
        [0, 1_000, 30_000],
      ],
      [
        'without sense counts for nothing',
        10,
        1,
        [{ remaining: -1, resetDelay: 5 }, { remaining: Number.NaN }],
        [0, 0, 0],
      ],
    ])('%s', (_, pace, burstSize, quotas, [pause, slow, duration]) => {
      expect(slowestQuota(quotas, pace, burstSize)).toEqual({ pause, pace: slow, duration });
    });

    it('is not overdrawn before it is filled again, and after that our own rate holds', async () => {
      const { layer } = benchOf({ maxCalls: 100, interval: 1_000, burstSize: 50, maxQueueSize: 0 });
      layer.slowDown({ quotas: [{ remaining: 10, resetDelay: 2_000 }] });
      const times = admitted(layer, 2_000);
      expect(times).toEqual([0, 200, 400, 600, 800, 1_000, 1_200, 1_400, 1_600, 1_800]);
      expect(layer.available).toBeGreaterThan(1);
    });

    it('is replaced by the next one that the server tells', () => {
      const { layer } = benchOf({ maxCalls: 100, interval: 1_000, maxQueueSize: 0 });
      layer.slowDown({ quotas: [{ remaining: 1, resetDelay: 20_000 }] });
      expect(admitted(layer, 500)).toEqual([0]);
      layer.slowDown({ quotas: [{ remaining: 500, resetDelay: 1_000 }] });
      expect(admitted(layer, 30)).toEqual([500, 510, 520]);
    });

    it('wakes those who wait when it is filled again', async () => {
      const { layer, calls } = benchOf({ maxCalls: 100, interval: 1_000, queueTimeout: 10_000 });
      void calls.execute(() => 1);
      layer.slowDown({
        quotas: [{ remaining: 1, resetDelay: 4_000, maxCalls: 1, interval: 9_000 }],
      });
      // One pace is 9 s, but the quota is filled again before.
      expect(layer.delay).toBe(4_000);
      expect(await volley(calls, 2)).toEqual([4_000, 4_010]);
    });

    it('yields to Retry-After where both are said', () => {
      const { layer } = benchOf({});
      layer.slowDown({ retryAfter: 5_000, quotas: [{ remaining: 0, resetDelay: 20_000 }] });
      expect(layer.delay).toBe(5_000);
    });

    it('is read out of outcomes by the option hint, whose errors are reported', async () => {
      const reported = vi.fn();
      const restore = reportErrorsTo(reported);
      const { layer, calls } = benchOf({
        maxCalls: 1_000,
        interval: 1_000,
        hint: (outcome) => {
          if (!outcome.ok) throw new Error('no headers');
          return { quotas: [{ remaining: outcome.value as number, resetDelay: 1_000 }] };
        },
      });
      const recorder = recordEvents(calls);
      await calls.execute(() => 10);
      expect(layer.delay).toBe(100);
      expect(recorder.of('rate-limit.slowed')).toMatchObject([
        { reason: 'quota', delay: 100, duration: 1_000 },
      ]);
      await clock.runUntilSettled(
        calls.execute(() => Promise.reject(new Error('down'))).catch(() => {}),
      );
      restore();
      expect(reported).toHaveBeenCalledWith(new Error('no headers'), 'hint');
    });
  });
});
