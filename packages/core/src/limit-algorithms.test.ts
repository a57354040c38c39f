import { seededRandom } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { gradient2 } from './gradient2.js';
import type { LimitAlgorithm } from './limit-algorithm.js';
import { aimd, aimdDefaults, vegas, vegasDefaults } from './limit-algorithms.js';

type Sample = readonly [duration: number, inFlight: number, dropped?: boolean];

/** The limits, rounded down, after each sample. */
function limits(algorithm: LimitAlgorithm, ...samples: Sample[]): number[] {
  return samples.map(([duration, inFlight, dropped = false]) => {
    algorithm.update(duration, inFlight, dropped);
    return Math.floor(algorithm.estimate);
  });
}

describe('aimd', () => {
  it("is Netflix's AIMDLimit", () => {
    expect(aimdDefaults).toMatchObject({ initialLimit: 20, minLimit: 20, maxLimit: 200 });
    expect(aimd({ initialLimit: 10 }).estimate).toBe(10);
    expect(limits(aimd({ initialLimit: 20 }), [1, 10])).toEqual([21]);
    expect(limits(aimd({ initialLimit: 30 }), [0, 0, true])).toEqual([27]);
    expect(limits(aimd({ initialLimit: 21, maxLimit: 21, minLimit: 1 }), [1, 10])).toEqual([21]);
  });

  it('rises by one where at least half of the limit is in use', () => {
    const algorithm = aimd({ initialLimit: 20 });
    expect(algorithm.update(1, 9, false)).toBe('idle');
    expect(algorithm.estimate).toBe(20);
    expect(algorithm.update(1, 10, false)).toBe('room');
    expect(algorithm.estimate).toBe(21);
  });

  it('falls by backoffRatio when a call is dropped or takes longer than slowCallDuration', () => {
    const algorithm = aimd({ initialLimit: 100, minLimit: 80, backoffRatio: 0.9 });
    expect(algorithm.update(5_000, 1, false)).toBe('idle');
    expect(algorithm.update(5_001, 1, false)).toBe('slow');
    expect(algorithm.estimate).toBe(90);
    expect(algorithm.update(1, 1, true)).toBe('drop');
    expect(algorithm.estimate).toBe(81);
    expect(limits(algorithm, [1, 1, true], [1, 1, true])).toEqual([80, 80]);
  });
});

describe('vegas', () => {
  const small = { initialLimit: 10, maxLimit: 20, random: seededRandom(1) };
  const halving = { decrease: (limit: number) => limit / 2, initialLimit: 100, maxLimit: 200 };

  it.each<[string, () => LimitAlgorithm, Sample[], number[]]>([
    [
      'rises by beta without a queue',
      () => vegas(small),
      [
        [10, 10],
        [10, 11],
      ],
      [10, 16],
    ],
    [
      'falls with a long queue',
      () => vegas(small),
      [
        [10, 10],
        [50, 11],
      ],
      [10, 9],
    ],
    [
      'stays within alpha and beta',
      () => vegas(small),
      [
        [10, 10],
        [14, 14],
      ],
      [10, 10],
    ],
    [
      'rises by 6 × log10 of a large limit',
      () => vegas({ initialLimit: 10_000, maxLimit: 20_000 }),
      [
        [10_000, 5_000],
        [10_000, 6_000],
      ],
      [10_000, 10_024],
    ],
    [
      'takes half of a step with smoothing 0.5',
      () => vegas({ ...halving, smoothingRatio: 0.5 }),
      [
        [10, 100],
        [20, 100],
        [20, 100],
      ],
      [100, 75, 56],
    ],
    [
      'takes the whole step without',
      () => vegas(halving),
      [
        [10, 100],
        [20, 100],
        [20, 100],
      ],
      [100, 50, 25],
    ],
    [
      'falls with a dropped call',
      () => vegas(small),
      [
        [10, 10],
        [10, 10, true],
      ],
      [10, 9],
    ],
    [
      'stays while little is in use',
      () => vegas(small),
      [
        [10, 10],
        [10, 4],
      ],
      [10, 10],
    ],
  ])("is Netflix's VegasLimit: %s", (_, make, samples, expected) => {
    expect(limits(make(), ...samples)).toEqual(expected);
    expect(vegasDefaults).toMatchObject({ initialLimit: 20, maxLimit: 1_000, probeMultiplier: 30 });
  });

  it('says why', () => {
    const algorithm = vegas(small);
    const said = (
      [
        [10, 10],
        [8, 10],
        [8, 10],
        [12, 20],
        [40, 20],
        [9, 1],
        [9, 9, true],
        [0, 9],
      ] as Sample[]
    ).map(([duration, inFlight, dropped = false]) => algorithm.update(duration, inFlight, dropped));
    expect(said).toEqual([
      'baseline',
      'baseline',
      'room',
      'steady',
      'queueing',
      'idle',
      'drop',
      'no-time',
    ]);
  });

  it('measures the shortest duration anew, so that a network that became slower is no queue', () => {
    const algorithm = vegas({ initialLimit: 10, random: () => 0.999_999, probeMultiplier: 30 });
    algorithm.update(10, 10, false);
    for (let sample = 0; sample < 40; sample++) algorithm.update(100, 10, false);
    expect(algorithm.estimate).toBe(6);
    const said = new Set<string>();
    for (let sample = 0; sample < 200; sample++) said.add(algorithm.update(100, 100, false));
    expect([...said]).toContain('probe');
    expect(algorithm.estimate).toBeGreaterThan(10);
  });

  it('does not stay at 1 once calls are quick again', () => {
    const algorithm = vegas({ initialLimit: 20, random: seededRandom(1) });
    algorithm.update(10, 20, false);
    for (let sample = 0; sample < 100; sample++) algorithm.update(sample % 2 ? 10 : 900, 20, true);
    expect(algorithm.estimate).toBe(1);
    expect(limits(algorithm, [10, 1], [10, 7], [10, 13]).at(-1)).toBeGreaterThanOrEqual(13);
  });
});

describe("a user's function", () => {
  it.each<[string, LimitAlgorithm, Sample]>([
    ['decrease', vegas({ decrease: () => Number.NaN }), [10, 20, true]],
    ['increase', vegas({ increase: () => Number.NaN, threshold: () => 0 }), [11, 20]],
    ['alpha', vegas({ alpha: () => Number.NaN, threshold: () => 0 }), [11, 20]],
    ['beta', vegas({ beta: () => Number.NaN }), [10, 20]],
    ['threshold', vegas({ threshold: () => undefined as never }), [10, 20]],
    ['queueSize', gradient2({ queueSize: () => Number.NaN }), [10, 20]],
  ])(
    '%s that gives no number throws and leaves the estimate as it is',
    (name, algorithm, sample) => {
      if (algorithm.name === 'vegas') algorithm.update(10, 1, false);
      const [duration, inFlight, dropped = false] = sample;
      expect(() => algorithm.update(duration, inFlight, dropped)).toThrow(
        new RegExp(`^${name} gave (NaN|undefined) instead of a number$`),
      );
      expect(algorithm.estimate).toBe(20);
    },
  );
});
