import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { deferred } from '../test/deferred.js';
import { hostOn, refuses, startedCall } from '../test/started-call.js';
import { ThrottledError } from './errors.js';
import { pipeline } from './pipeline.js';
import { Throttle, type ThrottleOptions, throttle, throttleDefaults } from './throttle.js';

const down = new Error('down');

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

/** A throttle that has seen so many calls, of which so many were accepted. */
function after(requests: number, accepts: number, options: ThrottleOptions): Throttle {
  const layer = throttle({ clock, random: () => 0.999_999, minimumCalls: 0, ...options });
  const call = startedCall(hostOn(clock));
  for (let count = 0; count < requests; count++) {
    layer.enter(call);
    layer.leave(
      undefined,
      call,
      count < accepts
        ? { ok: true, value: 1, duration: 1 }
        : { ok: false, error: down, duration: 1 },
    );
  }
  return layer;
}

describe('throttle', () => {
  it('gives an instance of its class', () => {
    expect(throttle()).toBeInstanceOf(Throttle);
    expect([throttle().name, throttle({ name: 'search' }).name]).toEqual(['throttle', 'search']);
  });

  describe('the probability of the SRE book', () => {
    // requests, accepts, and p for K = 2, 1.5 and 1.1.
    it.each([
      [0, 0, 0, 0, 0],
      [1, 0, 0.5, 0.5, 0.5],
      [10, 5, 0, 0.227273, 0.409091],
      [10, 4, 0.181818, 0.363636, 0.509091],
      [10, 0, 0.909091, 0.909091, 0.909091],
      [100, 50, 0, 0.247525, 0.445545],
      [100, 40, 0.19802, 0.39604, 0.554455],
      [100, 25, 0.49505, 0.618812, 0.717822],
      [100, 10, 0.792079, 0.841584, 0.881188],
      [100, 0, 0.990099, 0.990099, 0.990099],
      [1_000, 0, 0.999001, 0.999001, 0.999001],
    ])('after %i requests and %i accepts', (requests, accepts, two, oneAndAHalf, oneAndATenth) => {
      for (const [multiplier, expected] of [
        [2, two],
        [1.5, oneAndAHalf],
        [1.1, oneAndATenth],
      ] as const) {
        const layer = after(requests, accepts, {
          minSuccessRatio: 1 / multiplier,
          maxRejectionRatio: 1,
        });
        expect(layer.rejectionRatio).toBeCloseTo(expected, 6);
      }
    });

    it.each([
      [100, 95, 0.95, 1, 0],
      [100, 90, 0.95, 1, 0.05211],
      [100, 50, 0.95, 1, 0.468994],
      [100, 0, 0.95, 1, 0.8],
      [100, 50, 0.95, 2, 0.684832],
      [100, 40, 0.5, 1, 0.19802],
      [1_000, 900, 0.95, 1.5, 0.140349],
    ])("is Envoy's for (%i, %i, %f, %f)", (requests, accepts, minSuccessRatio, aggression, p) => {
      const options = { minSuccessRatio, aggression, maxRejectionRatio: 0.8 };
      expect(after(requests, accepts, options).rejectionRatio).toBeCloseTo(p, 5);
    });

    it.each([
      [100, 100, 0],
      [100, 90, 0],
      [100, 80, 0.110011],
      [100, 50, 0.440044],
      [100, 0, 0.9],
    ])("is failsafe-go's for (%i, %i)", (requests, accepts, p) => {
      const options = { minSuccessRatio: 0.9, maxRejectionRatio: 0.9 };
      expect(after(requests, accepts, options).rejectionRatio).toBeCloseTo(p, 6);
    });

    it('decides by chance: a call is refused below it, and let in at it', () => {
      const random = vi.fn(() => 0.2);
      const layer = after(100, 40, { random });
      const call = startedCall(hostOn(clock));
      expect(refuses(layer, call)).toBe(false);
      random.mockReturnValue(0.198);
      expect(refuses(layer, call)).toBe(true);
    });

    it('does not ask chance while enough calls are accepted', () => {
      const random = vi.fn(() => 0);
      after(100, 50, { random });
      expect(random).toHaveBeenCalledTimes(0);
    });

    it('counts what was refused here as a request', () => {
      const random = vi.fn(() => 0.999_999);
      const layer = after(100, 40, { random });
      expect(layer.rejectionRatio).toBeCloseTo(20 / 101);
      random.mockReturnValue(0);
      expect(refuses(layer, startedCall(hostOn(clock)))).toBe(true);
      expect(layer.rejectionRatio).toBeCloseTo(21 / 102);
    });
  });

  it('refuses without running the operation, and tells', async () => {
    const layer = throttle({ clock, minimumCalls: 1, random: () => 0, name: 'search' });
    const calls = pipeline({ clock }, layer);
    await expect(calls.execute(() => Promise.reject(down))).rejects.toBe(down);
    const recorder = recordEvents(calls);
    const operation = vi.fn();
    const refused = calls.execute(operation);
    await expect(refused).rejects.toBeInstanceOf(ThrottledError);
    await expect(refused).rejects.toMatchObject({
      code: 'RESIL_THROTTLED',
      message: "'search' refuses 50 % of the calls, for too few are accepted",
      strategy: 'search',
      rejectionRatio: 0.5,
      refusal: true,
    });
    expect(operation).not.toHaveBeenCalled();
    expect(recorder.types).toEqual(['call.started', 'throttle.rejected', 'call.rejected']);
    expect(recorder.of('throttle.rejected')).toMatchObject([
      { strategy: 'search', rejectionRatio: 0.5 },
    ]);
  });

  it('refuses nobody before minimumCalls are in the window', () => {
    expect(after(9, 0, { minimumCalls: 10 }).rejectionRatio).toBe(0);
    expect(after(10, 0, { minimumCalls: 10 }).rejectionRatio).toBe(0.9);
    expect(throttleDefaults.minimumCalls).toBe(10);
  });

  it('forgets what is older than its window', async () => {
    const layer = after(100, 0, { window: { duration: 10_000 } });
    await clock.advance(8_999);
    expect(layer.rejectionRatio).toBe(0.9);
    await clock.advance(1_001);
    expect(layer.rejectionRatio).toBe(0);
  });

  it('counts a call when it ends, so that calls under way are not taken for failures', async () => {
    const layer = throttle({ clock, minimumCalls: 1 });
    const calls = pipeline({ clock }, layer);
    const held = deferred();
    for (let call = 0; call < 100; call++) void calls.execute(() => held.promise);
    expect(layer.rejectionRatio).toBe(0);
    held.resolve();
    await clock.flush();
    expect(layer.rejectionRatio).toBe(0);
  });

  it('goes by classify, and leaves out what it ignores and the caller cancelled', async () => {
    const layer = throttle({
      clock,
      minimumCalls: 1,
      random: () => 0.999,
      classify: (outcome) =>
        outcome.ok ? (outcome.value === 503 ? 'failure' : 'success') : 'ignored',
    });
    const calls = pipeline({ clock }, layer);
    await calls.execute(() => Promise.reject(down)).catch(() => {});
    const caller = new AbortController();
    const cancelled = calls.execute(
      ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      { signal: caller.signal },
    );
    caller.abort('gone');
    await expect(cancelled).rejects.toBe('gone');
    expect(layer.rejectionRatio).toBe(0);
    await calls.execute(() => 503);
    expect(layer.rejectionRatio).toBe(0.5);
    await calls.execute(() => 404);
    expect(layer.rejectionRatio).toBe(0);
  });

  describe('against a dependency that accepts only so much', () => {
    // Wanted and accepted per second, K, and what goes out per second once the window is full: min(D, K × A).
    it.each([
      [1_000, 500, 2, 1_000],
      [2_000, 500, 2, 1_000],
      [1_000, 100, 2, 200],
      [1_000, 500, 1.1, 550],
      [2_000, 500, 1.1, 550],
      [1_000, 100, 1.1, 110],
      [1_000, 0, 2, 100],
    ])(
      'of %i calls, %i of them accepted, with K = %f sends %i',
      (wanted, accepted, multiplier, sent) => {
        const random = seededRandom(`closed loop ${wanted} ${accepted} ${multiplier}`);
        const window = { duration: 20_000 };
        const layer = throttle({ clock, random, window, minSuccessRatio: 1 / multiplier });
        const call = startedCall(hostOn(clock));
        let out = 0;
        for (let second = 0; second < 240; second++) {
          let left = accepted;
          for (let count = 0; count < wanted; count++) {
            if (refuses(layer, call)) continue;
            if (second >= 200) out++;
            const ok = left-- > 0;
            layer.leave(
              undefined,
              call,
              ok ? { ok, value: 1, duration: 1 } : { ok, error: down, duration: 1 },
            );
          }
          clock.tick(1_000);
        }
        // What is sent varies by chance, and what it falls short of in one second is not made up for in the next.
        expect(Math.abs(out / 40 / sent - 1)).toBeLessThan(0.05);
      },
    );

    it('lets K times as many through in each window after its return, until all go through', async () => {
      const random = seededRandom('return');
      const layer = throttle({ clock, random, window: { duration: 10_000 } });
      const calls = pipeline({ clock }, layer);
      let up = false;
      let served = 0;
      const second = async (): Promise<number> => {
        served = 0;
        for (let count = 0; count < 100; count++) {
          await calls
            .execute(() => {
              if (!up) throw down;
              served++;
            })
            .catch(() => {});
          await clock.advance(10);
        }
        return served;
      };
      for (let count = 0; count < 20; count++) await second();
      expect(layer.rejectionRatio).toBe(0.9);
      up = true;
      const rates: number[] = [];
      for (let count = 0; count < 50; count++) rates.push(await second());
      expect(rates[0]).toBeGreaterThan(0);
      expect(rates[10]).toBeGreaterThan(15);
      expect(rates[20]).toBeGreaterThan(30);
      expect(rates.slice(-10)).toEqual(new Array(10).fill(100));
    });
  });
});
