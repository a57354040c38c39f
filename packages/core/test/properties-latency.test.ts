/** Random durations in a latency histogram against a sorted list of them. */
import { VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from '../src/latency-histogram.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';

const WINDOW = 4_000;

const steps = fc.array(
  fc.record({
    /** Milliseconds that pass before. */
    wait: fc.oneof(fc.constant(0), fc.nat(300), fc.constantFrom(999, 1_000, 9_000)),
    durations: fc.array(
      // Evenly on the logarithmic scale, 10 µs to 11 hours, and some round ones.
      fc.oneof(
        fc.double({ min: -4.6, max: 17.5, noNaN: true }).map(Math.exp),
        fc.constantFrom(0.01, 1, 10, 100, 1_000, 60_000),
      ),
      { maxLength: 20 },
    ),
  }),
  { minLength: 1, maxLength: 25 },
);

describe('LatencyHistogram', () => {
  it(
    'is off by at most its relative error, and forgets what left the window',
    () => {
      let asked = 0;
      fc.assert(
        fc.property(
          steps,
          fc.double({ min: 0, max: 1, noNaN: true }),
          fc.constantFrom(0.005, 0.02, 0.1),
          (history, ratio, relativeErrorRatio) => {
            const clock = new VirtualClock();
            const window = { duration: WINDOW };
            const histogram = new LatencyHistogram({ clock, window, relativeErrorRatio });
            const all: { turn: number; duration: number }[] = [];
            const turn = (): number => Math.floor(clock.now() / (WINDOW / 4));
            for (const { wait, durations } of history) {
              clock.tick(wait);
              for (const duration of durations) {
                histogram.record(duration);
                all.push({ turn: turn(), duration });
              }
              const kept = all
                .filter((one) => one.turn > turn() - 4)
                .map(({ duration }) => duration)
                .sort((a, b) => a - b);
              same(histogram.count(), kept.length, 'count');
              const quantile = histogram.quantile(ratio);
              const bound = histogram.quantileBound(ratio);
              if (kept.length === 0) {
                same(quantile, undefined, 'quantile of nothing');
                continue;
              }
              asked += 1;
              const exact = kept[Math.max(1, Math.ceil(ratio * kept.length - 1e-9)) - 1] as number;
              const off = Math.abs((quantile as number) - exact) / exact;
              if (off > relativeErrorRatio * (1 + 1e-6))
                throw new Error(`${quantile} is off by ${off} of ${exact}`);
              if ((bound as number) < exact * (1 - 1e-9))
                throw new Error(`${bound} is below ${exact}`);
            }
          },
        ),
        runs(3_000),
      );
      expect(asked).toBeGreaterThan(10_000);
    },
    PATIENCE,
  );
});
