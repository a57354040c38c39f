/** How many attempts retries make of calls, with and without a budget: the formulas, on the real retry. */
import { seededRandom, VirtualClock } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { type Pipeline, pipeline } from '../../src/pipeline.js';
import { retry } from '../../src/retry.js';
import { retryBudget } from '../../src/retry-budget.js';

const CALLS = 5_000;

const down = (): never => {
  throw new Error('down');
};

/** Starts all calls at once, and gives the attempts that they make. */
async function attemptsOf(
  through: Pipeline,
  clock: VirtualClock,
  calls: number,
  fails: () => boolean,
): Promise<number> {
  let attempts = 0;
  const all = Array.from({ length: calls }, () =>
    through
      .execute(() => {
        attempts += 1;
        return fails() ? down() : 'up';
      })
      .catch(() => {}),
  );
  await clock.runUntilSettled(Promise.all(all));
  return attempts;
}

describe('attempts per call', () => {
  const cells = [
    { f: 0.1, maxAttempts: 2, expected: 1.1 },
    { f: 0.1, maxAttempts: 3, expected: 1.11 },
    { f: 0.1, maxAttempts: 4, expected: 1.111 },
    { f: 0.5, maxAttempts: 2, expected: 1.5 },
    { f: 0.5, maxAttempts: 3, expected: 1.75 },
    { f: 0.5, maxAttempts: 4, expected: 1.875 },
    { f: 0.9, maxAttempts: 2, expected: 1.9 },
    { f: 0.9, maxAttempts: 3, expected: 2.71 },
    { f: 0.9, maxAttempts: 4, expected: 3.439 },
    { f: 1, maxAttempts: 2, expected: 2 },
    { f: 1, maxAttempts: 3, expected: 3 },
    { f: 1, maxAttempts: 4, expected: 4 },
  ];
  it.each(cells)(
    '$f of them failing, at most $maxAttempts: (1 - f^m) / (1 - f) = $expected',
    async (cell) => {
      const { f, maxAttempts, expected } = cell;
      const clock = new VirtualClock();
      const random = seededRandom(`${f} ${maxAttempts}`);
      const calls = pipeline({ clock }, retry({ maxAttempts, baseDelay: 1, random }));
      const perCall = (await attemptsOf(calls, clock, CALLS, () => random() < f)) / CALLS;
      if (f === 1) expect(perCall).toBe(expected);
      else {
        // Four standard deviations; one call's is at most half of the range.
        const deviation = (maxAttempts - 1) / 2 / Math.sqrt(CALLS);
        expect(Math.abs(perCall - expected)).toBeLessThan(4 * deviation);
      }
    },
  );

  it.each([
    { layers: 1, maxAttempts: 3, attempts: 3 },
    { layers: 2, maxAttempts: 3, attempts: 9 },
    { layers: 3, maxAttempts: 3, attempts: 27 },
    { layers: 3, maxAttempts: 4, attempts: 64 },
    { layers: 5, maxAttempts: 3, attempts: 243 },
  ])(
    '$layers retries of $maxAttempts attempts around each other make $attempts of one call',
    async (row) => {
      const clock = new VirtualClock();
      const nested = Array.from({ length: row.layers }, () =>
        retry({ maxAttempts: row.maxAttempts, baseDelay: 1 }),
      );
      expect(await attemptsOf(pipeline({ clock }, ...nested), clock, 1, () => true)).toBe(
        row.attempts,
      );
    },
  );
});

describe('attempts per call with a budget, while everything fails', () => {
  const SECONDS = 40;
  const PER_SECOND = 100;

  /** Attempts per second under `PER_SECOND` calls per second, and the most in any one window. */
  async function load(
    ratio: number,
    minPerSecond: number,
  ): Promise<{ mean: number; most: number }> {
    const clock = new VirtualClock();
    const random = seededRandom(`${ratio} ${minPerSecond}`);
    const budget = retryBudget({ ratio, minPerSecond, clock });
    const calls = pipeline({ clock }, retry({ maxAttempts: 3, baseDelay: 20, random, budget }));
    const attempts: number[] = new Array(SECONDS + 1).fill(0);
    const all: Promise<unknown>[] = [];
    for (let call = 0; call < SECONDS * PER_SECOND; call++) {
      all.push(
        calls
          .execute(() => {
            const second = Math.floor(clock.now() / 1_000);
            attempts[second] = (attempts[second] ?? 0) + 1;
            return down();
          })
          .catch(() => {}),
      );
      await clock.advance(1_000 / PER_SECOND);
    }
    await clock.runUntilSettled(Promise.all(all));
    const total = attempts.reduce((sum, count) => sum + count, 0);
    const windows = attempts
      .slice(0, SECONDS - 9)
      .map((_, first) => attempts.slice(first, first + 10).reduce((sum, count) => sum + count, 0));
    return { mean: total / SECONDS, most: Math.max(...windows) / 10 };
  }

  it.each([
    { ratio: 0.05, minPerSecond: 0 },
    { ratio: 0.1, minPerSecond: 1 },
    { ratio: 0.2, minPerSecond: 1 },
    { ratio: 0.2, minPerSecond: 10 },
    { ratio: 0, minPerSecond: 5 },
  ])('L (1 + $ratio) + $minPerSecond is what the dependency gets, and no more', async (row) => {
    const { ratio, minPerSecond } = row;
    const { mean, most } = await load(ratio, minPerSecond);
    const allowed = PER_SECOND * (1 + ratio) + minPerSecond;
    // A window of the budget does not begin with the second: a slot of it more.
    expect(most).toBeLessThanOrEqual(allowed * 1.02 + minPerSecond);
    expect(mean).toBeLessThanOrEqual(allowed * 1.005);
    expect(mean).toBeGreaterThanOrEqual(allowed * 0.97);
  });

  it('without one it is three times the calls', async () => {
    const clock = new VirtualClock();
    const calls = pipeline({ clock }, retry({ maxAttempts: 3 }));
    expect(await attemptsOf(calls, clock, 1_000, () => true)).toBe(3_000);
  });

  it('recovers where L (1 + b) stays below what the dependency can do: 280 calls of 300, b below 1 in 14', async () => {
    const capacity = 3;
    const calls = 2.8;
    expect(calls * (1 + 1 / 15)).toBeLessThan(capacity);
    expect(calls * (1 + 1 / 13)).toBeGreaterThan(capacity);
    const { mean } = await load(1 / 15, 0);
    expect((mean / PER_SECOND) * calls).toBeLessThan(capacity);
    const { mean: storm } = await load(1 / 5, 0);
    expect((storm / PER_SECOND) * calls).toBeGreaterThan(capacity);
  });
});
