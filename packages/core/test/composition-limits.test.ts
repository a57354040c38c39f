/** The guards that limit what goes out, in the company of other layers. */
import { recordEvents, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { circuitBreaker, fallback, pipeline, retry, throttle } from '../src/index.js';

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
