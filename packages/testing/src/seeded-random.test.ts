import { describe, expect, it } from 'vitest';
import { seededRandom } from './seeded-random.js';

const take = (seed: number | string, count: number): number[] => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => random());
};

describe('seededRandom', () => {
  it('gives the same numbers for the same seed, in every version', () => {
    expect(take(42, 5)).toEqual(take(42, 5));
    expect(take(42, 3).map((value) => value.toFixed(12))).toMatchInlineSnapshot(`
      [
        "0.969481773137",
        "0.793644598353",
        "0.765031212538",
      ]
    `);
  });

  it('gives other numbers for other seeds, however close', () => {
    const seeds = [0, 1, 2, -1, 0.5, 1e300, '', '1a', 'one', 4_294_967_297];
    const firsts = new Set(seeds.map((seed) => take(seed, 1)[0]));
    expect(firsts.size).toBe(seeds.length);
  });

  it('stays in [0, 1) and is even: mean, spread, neighbours, chi-square of 64 classes', () => {
    for (const seed of [0, 1, 'x']) {
      const values = take(seed, 64_000);
      const mean = values.reduce((sum, value) => sum + value) / values.length;
      const square = values.reduce((sum, value) => sum + value * value) / values.length;
      const neighbours =
        values.slice(1).reduce((sum, value, index) => sum + value * (values[index] as number), 0) /
        (values.length - 1);
      expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
      expect(mean).toBeCloseTo(1 / 2, 2);
      expect(square).toBeCloseTo(1 / 3, 2);
      expect(neighbours).toBeCloseTo(1 / 4, 2);
      const classes = new Array<number>(64).fill(0);
      for (const value of values) classes[Math.floor(value * 64)]! += 1;
      const chi = classes.reduce((sum, count) => sum + (count - 1_000) ** 2 / 1_000, 0);
      // 63 degrees of freedom: 99.99 % of all sequences lie between 25 and 115.
      expect(chi).toBeGreaterThan(25);
      expect(chi).toBeLessThan(115);
    }
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, null, {}])('refuses the seed %s', (seed) => {
    expect(() => seededRandom(seed as number)).toThrow(
      'seed must be a finite number or a string, but got',
    );
  });
});
