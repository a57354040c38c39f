import { describe, expect, it } from 'vitest';
import { gradient, gradientDefaults } from './gradient.js';

describe('gradient', () => {
  it.each([
    [100, 5, 5, 136],
    [100, 5, 6.25, 110],
    [100, 5, 20, 57],
    [100, 5, 1, 214],
    [3, 5, 50, 3],
  ])(
    "is Envoy's: of %i, shortest %f ms and now %f ms, it makes %i",
    (initialLimit, shortest, duration, limit) => {
      const algorithm = gradient({ initialLimit });
      expect(algorithm.update(shortest, initialLimit, false)).toBe('baseline');
      expect(algorithm.estimate).toBe(initialLimit);
      algorithm.update(duration, initialLimit, false);
      expect(algorithm.estimate).toBe(limit);
    },
  );

  it('has the defaults and bounds of Envoy', () => {
    expect(gradientDefaults).toMatchObject({ minLimit: 3, maxLimit: 1_000, bufferRatio: 0.25 });
    const algorithm = gradient();
    expect([algorithm.name, algorithm.windowed, algorithm.estimate]).toEqual([
      'gradient',
      true,
      20,
    ]);
    for (let step = 0; step < 50; step++) algorithm.update(5, 1_000, false);
    expect(algorithm.estimate).toBe(1_000);
  });

  it('says why it moves, and does not while little is in use or no time has passed', () => {
    const algorithm = gradient({ initialLimit: 100, bufferRatio: 0 });
    expect(algorithm.update(0, 100, false)).toBe('no-time');
    expect(algorithm.update(10, 100, false)).toBe('baseline');
    expect(algorithm.update(10, 49, false)).toBe('idle');
    expect(algorithm.estimate).toBe(100);
    expect(algorithm.update(10, 50, true)).toBe('room');
    expect(algorithm.estimate).toBe(110);
    expect(algorithm.update(20, 110, false)).toBe('queueing');
    expect(algorithm.estimate).toBe(62);
    // 4 × 0.5 and its root are 3.4: below the least it stays.
    const least = gradient({ initialLimit: 4, minLimit: 4 });
    least.update(1, 4, false);
    expect(least.update(100, 4, false)).toBe('queueing');
    expect(least.estimate).toBe(4);
    const still = gradient({ initialLimit: 3, minLimit: 1 });
    still.update(1, 3, false);
    expect(still.update(2, 3, false)).toBe('steady');
  });

  it('keeps the shortest duration, and measures it anew after so many samples', () => {
    const algorithm = gradient({
      initialLimit: 100,
      maxLimit: 100,
      probeInterval: 4,
      random: () => 0,
    });
    const reasons = [10, 8, 9, 9, 9, 12].map((duration) => algorithm.update(duration, 100, false));
    expect(reasons).toEqual(['baseline', 'room', 'room', 'room', 'room', 'probe']);
    // Of 12 ms now, not of 8: 100 × 12 × 1.25 / 15 and its root, 100 × 12 × 1.25 / 24 and its root.
    expect(algorithm.update(15, 100, false)).toBe('room');
    expect(algorithm.update(24, 100, false)).toBe('queueing');
    expect(algorithm.estimate).toBe(Math.floor(62.5 + Math.sqrt(62.5)));
  });

  it('measures at a time of its own, up to 15 % later', () => {
    const probedAfter = (chance: number) => {
      const algorithm = gradient({ probeInterval: 100, random: () => chance });
      algorithm.update(1, 20, false);
      for (let samples = 1; ; samples++)
        if (algorithm.update(1, 20, false) === 'probe') return samples;
    };
    expect([0, 0.5, 0.999].map(probedAfter)).toEqual([101, 109, 116]);
  });
});
