/** Random histories of a rate limiter against a bucket of tokens, and the promise that a server relies on. */
import { VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pipeline } from '../src/pipeline.js';
import { rateLimiter } from '../src/rate-limiter.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';
import { hostOn, refuses, startedCall } from './started-call.js';

const rates = fc.record({
  // Paces that are whole milliseconds, so that a bucket counts without rounding.
  maxCalls: fc.constantFrom(1, 2, 4, 5, 10, 20, 100),
  burstSize: fc.constantFrom(1, 1, 2, 3, 10),
});

describe('rateLimiter', () => {
  it(
    'without a queue refuses exactly whom a bucket of tokens refuses',
    () => {
      const arrivals = fc.array(
        fc.oneof(fc.nat(5), fc.nat(300), fc.constantFrom(0, 0, 0, 10, 5_000)),
        {
          minLength: 5,
          maxLength: 80,
          size: 'max',
        },
      );
      fc.assert(
        fc.property(rates, arrivals, ({ maxCalls, burstSize }, gaps) => {
          const clock = new VirtualClock();
          const pace = 1_000 / maxCalls;
          const guard = rateLimiter({ clock, maxCalls, burstSize, maxQueueSize: 0 });
          const call = startedCall(hostOn(clock));
          // In milliseconds of filling, so that it stays whole.
          let tokens = burstSize * pace;
          for (const gap of gaps) {
            clock.tick(gap);
            tokens = Math.min(burstSize * pace, tokens + gap);
            same(guard.available, Math.floor(tokens / pace), 'available');
            const full = tokens >= pace;
            same(guard.delay, full ? 0 : pace - tokens, 'delay');
            same(refuses(guard, call), !full, 'refused');
            if (full) tokens -= pace;
          }
        }),
        runs(5_000),
      );
    },
    PATIENCE,
  );

  const steps = fc.array(
    fc.record({
      gap: fc.oneof(fc.nat(40), fc.constantFrom(0, 0, 500)),
      count: fc.integer({ min: 1, max: 6 }),
      patience: fc.constantFrom(Infinity, Infinity, 30, 200),
      cancelled: fc.boolean(),
      pause: fc.constantFrom(0, 0, 0, 0, 150, 900),
    }),
    { minLength: 3, maxLength: 25, size: 'max' },
  );
  const seen = { waited: 0, refused: 0, cancelled: 0 };

  it(
    'with a queue lets go in order, never more than burstSize + time / pace, and forgets nobody',
    async () => {
      await fc.assert(
        fc.asyncProperty(rates, steps, async ({ maxCalls, burstSize }, history) => {
          const clock = new VirtualClock();
          const pace = 1_000 / maxCalls;
          const guard = rateLimiter({
            clock,
            maxCalls,
            burstSize,
            maxQueueSize: 8,
            queueTimeout: 700,
          });
          const calls = pipeline({ clock }, guard);
          const started: { readonly id: number; readonly at: number }[] = [];
          let came = 0;
          let settled = 0;
          for (const { gap, count, patience, cancelled, pause } of history) {
            await clock.advance(gap);
            for (let one = 0; one < count; one++) {
              const id = came++;
              const caller = new AbortController();
              const since = clock.now();
              const options = { signal: caller.signal, deadline: since + patience };
              void calls
                .execute(() => {
                  if (clock.now() > since) seen.waited++;
                  started.push({ id, at: clock.now() });
                }, options)
                .catch(() => {
                  seen.refused++;
                })
                .finally(() => settled++);
              if (cancelled && one === 0) {
                seen.cancelled++;
                caller.abort('gone');
              }
              expect(guard.waiting).toBeLessThanOrEqual(8);
            }
            if (pause > 0) guard.slowDown({ retryAfter: pause });
          }
          await clock.runUntilIdle();
          same(settled, came, 'settled');
          same(guard.waiting, 0, 'left waiting');
          for (let index = 1; index < started.length; index++)
            expect(started[index]!.id).toBeGreaterThan(started[index - 1]!.id);
          for (let from = 0; from < started.length; from++) {
            for (let to = from; to < started.length; to++) {
              const time = started[to]!.at - started[from]!.at;
              // A timer is up to a millisecond late, and the next turn counts from the turn.
              expect(to - from + 1).toBeLessThanOrEqual(burstSize + (time + 1) / pace + 1e-9);
            }
          }
        }),
        runs(1_000),
      );
    },
    PATIENCE,
  );

  it('was driven into every corner by these histories', () => {
    for (const [corner, times] of Object.entries(seen)) expect(times, corner).toBeGreaterThan(300);
  });
});
