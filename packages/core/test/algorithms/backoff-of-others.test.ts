/** The delays that other libraries document, where ours can say the same, as the real retry waits them. */

import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { pipeline } from '../../src/pipeline.js';
import { type RetryOptions, retry } from '../../src/retry.js';
import { same } from '../same.js';

/** Waits of `calls` calls that fail every attempt, by retry. */
async function waits(options: RetryOptions, calls: number): Promise<number[][]> {
  const clock = new VirtualClock();
  const target = pipeline({ clock }, retry(options));
  const events = recordEvents(target);
  const all: number[][] = [];
  for (let call = 0; call < calls; call++) {
    events.clear();
    const startedAt: number[] = [];
    const failing = target.execute(() => {
      startedAt.push(clock.now());
      throw new Error('down');
    });
    await clock.runUntilSettled(failing.catch(() => {}));
    const delays = events.of('retry.scheduled').map(({ delay }) => delay);
    delays.forEach((delay, index) => {
      // It waits what it says, rounded up to the millisecond of the timer.
      const waited = startedAt[index + 1]! - startedAt[index]!;
      same(waited >= delay && waited < delay + 2, true, `${waited} ms instead of ${delay}`);
    });
    all.push(delays);
  }
  return all;
}

describe('retry without jitter', () => {
  it.each([
    {
      of: 'Polly, constant',
      options: { backoff: 'constant' },
      delays: [2_000, 2_000, 2_000, 2_000],
    },
    { of: 'Polly, linear', options: { backoff: 'linear' }, delays: [2_000, 4_000, 6_000, 8_000] },
    {
      of: 'Polly, exponential',
      options: { backoff: 'exponential' },
      delays: [2_000, 4_000, 8_000, 16_000],
    },
    {
      of: 'Polly, MaxDelay',
      options: { backoff: 'exponential', maxDelay: 5_000 },
      delays: [2_000, 4_000, 5_000, 5_000],
    },
  ] as const)('$of', async ({ options, delays }) => {
    const all = await waits(
      { maxAttempts: 5, baseDelay: 2_000, maxDelay: 60_000, jitter: 'none', ...options },
      1,
    );
    expect(all).toEqual([delays]);
  });
});

describe('retry with jitter', () => {
  const random = seededRandom('backoff');
  const spread = (least: number, most: number): number => least + (most - least) * random();
  const none = { jitter: 'none', maxDelay: 60_000 } as const;
  it.each<{
    of: string;
    options: RetryOptions;
    bounds: readonly (readonly [least: number, most: number])[];
  }>([
    {
      of: 'Polly, constant ± 25 %',
      options: { ...none, backoff: () => spread(0.75, 1.25) * 2_000 },
      bounds: [
        [1_500, 2_500],
        [1_500, 2_500],
      ],
    },
    {
      of: 'Polly, linear ± 25 %',
      options: { ...none, backoff: (attempt) => spread(0.75, 1.25) * 2_000 * attempt },
      bounds: [
        [1_500, 2_500],
        [3_000, 5_000],
        [4_500, 7_500],
      ],
    },
    {
      of: 'resilience4j, × 1.5 ± 50 %, the cap after the jitter',
      options: {
        jitter: 'none',
        maxDelay: 1_000,
        backoff: (attempt) => spread(0.5, 1.5) * 500 * 1.5 ** (attempt - 1),
      },
      bounds: [
        [250, 750],
        [375, 1_000],
        [562.5, 1_000],
      ],
    },
    {
      of: 'AWS SDK, full jitter',
      options: { baseDelay: 100, maxDelay: 20_000, jitter: 'full', random },
      bounds: [
        [0, 100],
        [0, 200],
        [0, 400],
        [0, 800],
      ],
    },
    {
      of: 'AWS, equal jitter',
      options: { baseDelay: 100, maxDelay: 300, jitter: 'equal', random },
      bounds: [
        [50, 100],
        [100, 200],
        [150, 300],
      ],
    },
    {
      of: 'AWS, decorrelated jitter',
      options: { baseDelay: 100, maxDelay: 1_000, jitter: 'decorrelated', random },
      bounds: [
        [100, 300],
        [100, 900],
        [100, 1_000],
      ],
    },
  ])('$of: fills its bounds and stays within', async ({ options, bounds }) => {
    const all = await waits({ maxAttempts: bounds.length + 1, ...options }, 500);
    bounds.forEach(([least, most], index) => {
      const delays = all.map((one) => one[index]!);
      const [shortest, longest] = [Math.min(...delays), Math.max(...delays)];
      // The product of draws comes near its ends less often than one draw.
      const near = 0.15 * (most - least);
      expect(shortest).toBeGreaterThanOrEqual(least);
      expect(shortest).toBeLessThan(least + near);
      expect(longest).toBeLessThanOrEqual(most);
      expect(longest).toBeGreaterThan(most - near);
    });
  });

  it('decorrelated: never more than three times the wait before', async () => {
    const all = await waits(
      { maxAttempts: 6, baseDelay: 10, maxDelay: 5_000, jitter: 'decorrelated', random },
      500,
    );
    for (const delays of all)
      delays.reduce((previous, delay) => {
        expect(delay).toBeLessThanOrEqual(previous * 3);
        return delay;
      }, 10);
  });
});
