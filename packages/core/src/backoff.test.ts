import { seededRandom } from '@resil/testing';
import { describe, expect, it, vi } from 'vitest';
import {
  type Backoff,
  type BackoffSettings,
  backoffDelay,
  type Jitter,
  longestDelay,
} from './backoff.js';

const settings = (backoff: Backoff, jitter: Jitter = 'none'): BackoffSettings => ({
  baseDelay: 100,
  maxDelay: 1_000,
  backoff,
  jitter,
});
const neverAsked = (): number => {
  throw new Error('chance was asked');
};

/** The delays after attempts 1 to 6. */
function delays(own: BackoffSettings, random: () => number = neverAsked): number[] {
  const list: number[] = [];
  for (let attempt = 1; attempt <= 6; attempt++) {
    list.push(backoffDelay(own, attempt, list.at(-1), random));
  }
  return list;
}

describe('backoffDelay', () => {
  it.each<[string, Backoff, number[]]>([
    ['exponential doubles', 'exponential', [100, 200, 400, 800, 1_000, 1_000]],
    ['linear adds baseDelay', 'linear', [100, 200, 300, 400, 500, 600]],
    ['constant stays', 'constant', [100, 100, 100, 100, 100, 100]],
    ['a function decides', (attempt) => attempt ** 3, [1, 8, 27, 64, 125, 216]],
    ['a function is capped too', () => Number.POSITIVE_INFINITY, new Array(6).fill(1_000)],
  ])('%s, up to maxDelay', (_, backoff, expected) => {
    expect(delays(settings(backoff))).toEqual(expected);
  });

  it('asks a function with the number of the attempt that failed', () => {
    const backoff = vi.fn(() => 5);
    delays(settings(backoff));
    expect(backoff.mock.calls).toEqual([[1], [2], [3], [4], [5], [6]]);
  });

  it('stays finite however many attempts there were', () => {
    expect(backoffDelay(settings('exponential'), 5_000, undefined, neverAsked)).toBe(1_000);
    expect(backoffDelay({ ...settings('exponential'), baseDelay: 0 }, 3, 0, neverAsked)).toBe(0);
  });

  it.each<[Jitter, number[], number[]]>([
    ['none', [100, 200, 400, 800, 1_000, 1_000], [100, 200, 400, 800, 1_000, 1_000]],
    ['full', [0, 0, 0, 0, 0, 0], [100, 200, 400, 800, 1_000, 1_000]],
    ['equal', [50, 100, 200, 400, 500, 500], [100, 200, 400, 800, 1_000, 1_000]],
    ['decorrelated', [100, 100, 100, 100, 100, 100], [300, 900, 1_000, 1_000, 1_000, 1_000]],
  ])('%s jitter draws between its least and its most', (jitter, least, most) => {
    expect(delays(settings('exponential', jitter), () => 0)).toEqual(least);
    const highest = delays(settings('exponential', jitter), () => 1 - Number.EPSILON);
    highest.forEach((delay, index) => {
      expect(delay).toBeCloseTo(most[index] as number, 6);
    });
  });

  it('decorrelated jitter is capped before it is drawn, so that it stays random at the cap', () => {
    const random = seededRandom(7);
    const own = settings('exponential', 'decorrelated');
    const drawn = Array.from({ length: 1_000 }, () => backoffDelay(own, 9, 1_000, random));
    expect(new Set(drawn).size).toBe(1_000);
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(100);
    expect(Math.max(...drawn)).toBeLessThan(1_000);
    const mean = drawn.reduce((sum, delay) => sum + delay) / drawn.length;
    expect(mean).toBeGreaterThan(500);
    expect(mean).toBeLessThan(600);
  });

  it('full jitter spreads evenly over the whole delay', () => {
    const random = seededRandom(7);
    const quarters = [0, 0, 0, 0];
    for (let draw = 0; draw < 4_000; draw++) {
      const delay = backoffDelay(settings('constant', 'full'), 1, undefined, random);
      const quarter = Math.floor(delay / 25);
      quarters[quarter] = (quarters[quarter] as number) + 1;
    }
    for (const count of quarters) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });
});

describe('longestDelay', () => {
  it.each<[Jitter, number[]]>([
    ['none', [100, 200, 400, 800, 1_000, 1_000]],
    ['full', [100, 200, 400, 800, 1_000, 1_000]],
    ['equal', [100, 200, 400, 800, 1_000, 1_000]],
    ['decorrelated', [300, 900, 1_000, 1_000, 1_000, 1_000]],
  ])('is the most that %s jitter can give', (jitter, expected) => {
    const own = settings('exponential', jitter);
    expect([1, 2, 3, 4, 5, 6].map((attempt) => longestDelay(own, attempt))).toEqual(expected);
  });
});
