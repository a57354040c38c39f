import { seededRandom } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { leastLoadedOfTwo, slowStartShare } from './endpoint-choice.js';

const candidate = (name: string, running: number, weight = 1) => ({
  name,
  running,
  weightAt: () => weight,
});

/** How often each of the candidates is chosen in so many choices. */
function shares(candidates: readonly ReturnType<typeof candidate>[], choices = 20_000) {
  const random = seededRandom(7);
  const counts = new Map(candidates.map(({ name }) => [name, 0]));
  for (let choice = 0; choice < choices; choice++) {
    const { name } = leastLoadedOfTwo(candidates, 0, random);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts.values()].map((count) => count / choices);
}

describe('endpoint choice', () => {
  it('asks no chance where there is one candidate', () => {
    const only = candidate('a', 5);
    const random = () => {
      throw new Error('asked');
    };
    expect(leastLoadedOfTwo([only], 0, random)).toBe(only);
  });

  it('goes by weight among the idle', () => {
    const [a, b, c] = shares([candidate('a', 0, 6), candidate('b', 0, 3), candidate('c', 0, 1)]);
    expect(a).toBeCloseTo(0.6, 1);
    expect(b).toBeCloseTo(0.3, 1);
    expect(c).toBeCloseTo(0.1, 1);
  });

  it('takes the less loaded of two, and never the most loaded of all', () => {
    const [a, b, c] = shares([candidate('a', 0), candidate('b', 1), candidate('c', 2)]);
    expect(a).toBeCloseTo(2 / 3, 1);
    expect(b).toBeCloseTo(1 / 3, 1);
    expect(c).toBe(0);
  });

  it('measures the load by the weight', () => {
    expect(shares([candidate('a', 3, 4), candidate('b', 1, 1)])).toEqual([1, 0]);
    expect(shares([candidate('a', 5, 4), candidate('b', 1, 1)])).toEqual([0, 1]);
  });

  it('stands chance at its edges', () => {
    const candidates = [candidate('a', 0), candidate('b', 0), candidate('c', 0)];
    expect(leastLoadedOfTwo(candidates, 0, () => 0).name).toBe('a');
    expect(leastLoadedOfTwo(candidates, 0, () => 1 - Number.EPSILON).name).toBe('c');
    expect(leastLoadedOfTwo(candidates, 0, () => 1).name).toBe('c');
    expect(leastLoadedOfTwo(candidates.slice(0, 2), 0, () => 0.5).name).toBe('b');
  });

  it.each([
    [0, 0.1],
    [1_000, 0.1],
    [5_000, 0.5],
    [9_999, 0.9999],
    [10_000, 1],
    [Number.POSITIVE_INFINITY, 1],
  ])('has, %d ms of 10 s after a return, a share of %d', (elapsed, share) => {
    expect(slowStartShare(elapsed, 10_000, 0.1)).toBeCloseTo(share, 9);
  });

  it('has all of its weight at once without a slow start', () => {
    expect(slowStartShare(0, 0, 0.1)).toBe(1);
  });
});
