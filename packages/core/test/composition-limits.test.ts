/** The guards that limit what goes out, in the company of other layers. */
import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  circuitBreaker,
  fallback,
  pipeline,
  rateLimiter,
  retry,
  throttle,
  timeout,
} from '../src/index.js';

const down = new Error('down');
const fail = (): Promise<never> => Promise.reject(down);

let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

describe('composition', () => {
  describe('retry > throttle', () => {
    it('does not repeat what the throttle refused', async () => {
      const layer = throttle({ clock, random: () => 0, minimumCalls: 1 });
      const calls = pipeline(retry({ maxAttempts: 5, baseDelay: 10 }), layer);
      const operation = vi.fn(fail);
      const recorder = recordEvents(calls);
      await expect(clock.runUntilSettled(calls.execute(operation))).rejects.toMatchObject({
        code: 'RESIL_THROTTLED',
      });
      expect(operation).toHaveBeenCalledTimes(1);
      expect(recorder.types).toEqual([
        'call.started',
        'retry.scheduled',
        'throttle.rejected',
        'call.rejected',
      ]);
    });
  });

  describe('retry > rateLimiter', () => {
    it('gives each attempt a turn of its own', async () => {
      const limiter = rateLimiter({ clock, maxCalls: 2, interval: 1_000 });
      const again = retry({ maxAttempts: 3, baseDelay: 100, backoff: 'constant', jitter: 'none' });
      const starts: number[] = [];
      const operation = ({ attempt }: { readonly attempt: number }): Promise<unknown> => {
        starts.push(clock.now());
        return attempt < 3 ? fail() : Promise.resolve('third');
      };
      const calls = pipeline(again, limiter);
      await expect(clock.runUntilSettled(calls.execute(operation))).resolves.toBe('third');
      expect(starts).toEqual([0, 500, 1_000]);
    });
  });

  describe('timeout > rateLimiter', () => {
    it('refuses at once what could not begin in time', async () => {
      const limiter = rateLimiter({ clock, maxCalls: 1, interval: 5_000, queueTimeout: Infinity });
      const calls = pipeline(timeout({ duration: 1_000 }), limiter);
      await calls.execute(() => 1);
      await expect(calls.execute(() => 2)).rejects.toMatchObject({
        code: 'RESIL_RATE_LIMITED',
        retryAfter: 5_000,
      });
      expect(clock.now()).toBe(0);
    });
  });

  describe('circuitBreaker > throttle', () => {
    it('takes a refusal of the throttle for no failure', async () => {
      const breaker = circuitBreaker({ clock, failureThreshold: 2 });
      const layer = throttle({ clock, random: () => 0, minimumCalls: 1 });
      const calls = pipeline(
        fallback(() => 'instead'),
        breaker,
        layer,
      );
      for (let call = 0; call < 10; call++)
        await expect(calls.execute(fail)).resolves.toBe('instead');
      expect(breaker.state).toBe('closed');
      expect(layer.rejectionRatio).toBe(0.9);
    });
  });
});
