import { describe, expect, it } from 'vitest';
import { ExponentialAverage, gradient2, gradient2Defaults } from './gradient2.js';

describe('gradient2', () => {
  it('has the averages of ExpAvgMeasurement', () => {
    const average = new ExponentialAverage(100);
    const means = Array.from({ length: 10 }, (_, at) => average.add(10 + at));
    expect(means).toEqual([10, 10.5, 11, 11.5, 12, 12.5, 13, 13.5, 14, 14.5]);
    expect(average.add(100)).toBeCloseTo(16.2, 1);
  });

  it('rises by queueSize × smoothing while durations are steady, as Gradient2Limit does', () => {
    const algorithm = gradient2();
    expect(gradient2Defaults).toMatchObject({ initialLimit: 20, minLimit: 20, maxLimit: 200 });
    const seen: number[] = [];
    for (let step = 1; step <= 60; step++) {
      algorithm.update(100, Math.floor(algorithm.estimate), false);
      seen.push(algorithm.estimate);
    }
    const expected = [20.8, 21.6, 22.4, 23.2, 24, 28, 36, 44, 68];
    [1, 2, 3, 4, 5, 10, 20, 30, 60].forEach((step, at) => {
      expect(seen[step - 1]).toBeCloseTo(expected[at] as number, 9);
    });
    const fallen: number[] = [];
    for (let step = 61; step <= 76; step++) {
      algorithm.update(1_000, Math.floor(algorithm.estimate), false);
      fallen.push(algorithm.estimate);
    }
    [62, 56.6, 51.74, 47.366].forEach((limit, at) => {
      expect(fallen[at]).toBeCloseTo(limit, 9);
    });
    expect(fallen[14]).toBeCloseTo(20.3535, 4);
    expect(fallen[15]).toBe(20);
  });

  it('follows the gradient between its bounds', () => {
    const algorithm = gradient2({ initialLimit: 100, minLimit: 1, maxLimit: 1_000 });
    for (let step = 0; step < 10; step++) expect(algorithm.update(100, 40, false)).toBe('idle');
    expect(algorithm.estimate).toBe(100);
    for (const expected of [95.8499, 91.953, 88.2925, 84.8533, 81.621]) {
      expect(algorithm.update(200, Math.floor(algorithm.estimate), false)).toBe('queueing');
      expect(algorithm.estimate).toBeCloseTo(expected, 3);
    }
  });

  it('counts a dropped call as any other, and nothing without time', () => {
    const algorithm = gradient2();
    expect(algorithm.update(100, 20, true)).toBe('room');
    expect(algorithm.update(0, 20, false)).toBe('no-time');
    expect(algorithm.estimate).toBeCloseTo(20.8, 9);
  });
});
