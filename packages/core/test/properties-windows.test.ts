/** Random histories of the failure windows against plain arrays. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CountWindow, DurationWindow, type WindowSnapshot } from '../src/failure-window.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';

interface Ended {
  readonly at: number;
  readonly failed: boolean;
  readonly slow: boolean;
}

type Step =
  | {
      readonly do: 'record';
      readonly times: number;
      readonly failed: boolean;
      readonly slow: boolean;
    }
  | { readonly do: 'wait'; readonly time: number }
  | { readonly do: 'clear' }
  | {
      readonly do: 'restart';
      readonly size: number;
      readonly elapsed: number;
      readonly now: number;
    };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 20,
      arbitrary: fc.record({
        do: fc.constant('record' as const),
        times: fc.oneof(fc.constant(1), fc.nat(30)),
        failed: fc.boolean(),
        slow: fc.boolean(),
      }),
    },
    {
      weight: 12,
      arbitrary: fc.record({
        do: fc.constant('wait' as const),
        time: fc.oneof(fc.nat(15), fc.nat(150), fc.constantFrom(0.25, 99, 100, 101, 1_000, 9_999)),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('restart' as const),
        size: fc.constantFrom(1, 2, 5, 10, 40),
        elapsed: fc.nat(200),
        now: fc.nat(5_000),
      }),
    },
  ),
  { minLength: 5, maxLength: 60, size: 'max' },
);

function countsOf(list: readonly Ended[]): object {
  return {
    calls: list.length,
    failures: list.filter(({ failed }) => failed).length,
    slow: list.filter(({ slow }) => slow).length,
  };
}

function stored(snapshot: WindowSnapshot): WindowSnapshot {
  return JSON.parse(JSON.stringify(snapshot)) as WindowSnapshot;
}

let restarts = 0;

describe('CountWindow', () => {
  it(
    'holds the latest outcomes of a plain array, also in the next process',
    () => {
      fc.assert(
        fc.property(fc.constantFrom(1, 2, 3, 7, 20, 100), steps, (first, history) => {
          let size: number = first;
          let window = new CountWindow(size);
          let list: Ended[] = [];
          for (const step of history) {
            if (step.do === 'record') {
              const { failed, slow } = step;
              for (let time = 0; time < step.times; time++) {
                window.record(0, failed, slow);
                list.push({ at: 0, failed, slow });
              }
            } else if (step.do === 'clear') {
              window.clear();
              list = [];
            } else if (step.do === 'restart') {
              restarts += 1;
              const snapshot = stored(window.snapshot());
              list = list.slice(-size).slice(-step.size);
              size = step.size;
              window = new CountWindow(size);
              same(window.restore(snapshot, 0), true, 'restored');
            }
            same(window.counts(), countsOf(list.slice(-size)), 'counts');
          }
        }),
        runs(4_000),
      );
    },
    PATIENCE,
  );
});

describe('DurationWindow', () => {
  it(
    'holds the outcomes of the present tenth and the nine before, also in the next process',
    () => {
      fc.assert(
        fc.property(fc.constantFrom(10, 20, 100, 1_000), steps, (first, history) => {
          let duration: number = first;
          let now = 0;
          let window = new DurationWindow(duration);
          let list: Ended[] = [];
          const tenthOf = (at: number): number => Math.floor(at / (duration / 10));
          const held = (): Ended[] => list.filter(({ at }) => tenthOf(now) - tenthOf(at) < 10);
          for (const step of history) {
            if (step.do === 'record') {
              const { failed, slow } = step;
              for (let time = 0; time < step.times; time++) {
                window.record(now, failed, slow);
                list.push({ at: now, failed, slow });
              }
            } else if (step.do === 'wait') now += step.time;
            else if (step.do === 'clear') {
              window.clear();
              list = [];
            } else {
              restarts += 1;
              const snapshot = stored(window.snapshot(now));
              // Stored by its tenth, an outcome is as old as the beginning of that.
              list = held().map((one) => ({
                ...one,
                at: tenthOf(one.at) * (duration / 10) + step.now - now - step.elapsed,
              }));
              now = step.now;
              duration = step.size * 10;
              window = new DurationWindow(duration);
              same(window.restore(snapshot, now, step.elapsed), true, 'restored');
            }
            same(window.counts(now), countsOf(held()), 'counts');
          }
        }),
        runs(4_000),
      );
      expect(restarts).toBeGreaterThan(1_000);
    },
    PATIENCE,
  );

  it(
    'remembers each outcome for more than nine tenths of its duration and at most all of it',
    () => {
      fc.assert(
        fc.property(
          fc.double({ min: 0.5, max: 1e6, noNaN: true }),
          fc.double({ min: 0, max: 1e9, noNaN: true }),
          fc.double({ min: 0, max: 2, noNaN: true }),
          (duration, at, share) => {
            const window = new DurationWindow(duration);
            window.record(at, true, false);
            const age = share * duration;
            const { calls } = window.counts(at + age);
            // Wide enough for what a sum of doubles rounds away.
            if (share < 0.9 - 1e-6) same(calls, 1, 'remembered');
            if (share > 1 + 1e-6) same(calls, 0, 'forgotten');
          },
        ),
        runs(4_000),
      );
    },
    PATIENCE,
  );

  it('cannot take over what a window of the other kind held', () => {
    const count = new CountWindow(3);
    const duration = new DurationWindow(100);
    count.record(0, true, false);
    duration.record(0, true, false);
    expect(count.restore(duration.snapshot(0), 0)).toBe(false);
    expect(duration.restore(count.snapshot(), 0, 0)).toBe(false);
    expect(count.counts().calls).toBe(1);
    expect(duration.counts(0).calls).toBe(1);
  });
});
