import { seededRandom, VirtualClock } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { LatencyHistogram, latencyHistogramDefaults } from './latency-histogram.js';

function histogramOf(durations: readonly number[], relativeErrorRatio?: number): LatencyHistogram {
  const histogram = new LatencyHistogram({ clock: new VirtualClock(), relativeErrorRatio });
  for (const duration of durations) histogram.record(duration);
  return histogram;
}

/** Asserts that `actual` is within the share `error` of `exact`. */
function near(actual: number | undefined, exact: number, error: number): void {
  expect(Math.abs((actual ?? NaN) - exact)).toBeLessThanOrEqual(exact * error * (1 + 1e-9));
}

describe('LatencyHistogram', () => {
  it('has no quantile without a duration', () => {
    const histogram = histogramOf([]);
    expect([histogram.count(), histogram.quantile(0.5), histogram.quantileBound(0.5)]).toEqual([
      0,
      undefined,
      undefined,
    ]);
  });

  it('tells each quantile of 1 to 1,000 ms within the relative error', () => {
    const durations = Array.from({ length: 1_000 }, (_, index) => index + 1);
    for (const error of [0.001, 0.01, 0.02, 0.2]) {
      const histogram = histogramOf(durations, error);
      for (const ratio of [0, 0.001, 0.07, 0.5, 0.9, 0.98, 0.99, 0.999, 1]) {
        near(histogram.quantile(ratio), Math.max(1, Math.round(ratio * 1_000)), error);
      }
    }
  });

  it('gives a bound that at most the rest exceeds', () => {
    const random = seededRandom(7);
    const durations = Array.from({ length: 5_000 }, () => -Math.log(1 - random()) * 40);
    const histogram = histogramOf(durations);
    for (const ratio of [0.5, 0.95, 0.98, 0.999]) {
      const bound = histogram.quantileBound(ratio) as number;
      const longer = durations.filter((duration) => duration > bound).length;
      expect(longer / durations.length).toBeLessThanOrEqual(1 - ratio + 1e-12);
      expect(longer / durations.length).toBeGreaterThan((1 - ratio) * 0.7);
    }
  });

  it('takes one duration for all quantiles', () => {
    const histogram = histogramOf([250]);
    for (const ratio of [0, 0.5, 1]) near(histogram.quantile(ratio), 250, 0.02);
  });

  it('counts what is out of range as the shortest or the longest, and leaves out what is no number', () => {
    const histogram = histogramOf([0, -5, 1e-9, NaN, Infinity, 1e12]);
    expect(histogram.count()).toBe(5);
    near(histogram.quantile(0), 0.01, 0.02);
    near(histogram.quantile(1), 86_400_000, 0.02);
  });

  it('forgets what is older than the window, a quarter of it at a time', () => {
    const clock = new VirtualClock();
    const histogram = new LatencyHistogram({ clock, window: { duration: 4_000 } });
    for (let quarter = 0; quarter < 4; quarter++) {
      for (let index = 0; index < 10; index++) histogram.record(10 ** quarter);
      clock.tick(1_000);
    }
    expect(histogram.count()).toBe(30);
    near(histogram.quantile(0), 10, 0.02);
    clock.tick(1_000);
    expect(histogram.count()).toBe(20);
    near(histogram.quantile(0), 100, 0.02);
    clock.tick(999);
    expect(histogram.count()).toBe(20);
    clock.tick(3_600_000);
    expect([histogram.count(), histogram.quantile(0.5)]).toEqual([0, undefined]);
    histogram.record(5);
    near(histogram.quantile(0.5), 5, 0.02);
  });

  it('takes the time from whoever knows it; a clock that is read late does no harm', () => {
    const histogram = new LatencyHistogram({ clock: new VirtualClock() });
    histogram.record(10, 50_000);
    histogram.record(20, 40_000);
    expect(histogram.count(50_000)).toBe(2);
    expect(histogram.count(90_000)).toBe(0);
  });

  it('uses the system clock and its defaults where nothing else is said', () => {
    const histogram = new LatencyHistogram();
    histogram.record(100);
    expect(histogram.count()).toBe(1);
    near(histogram.quantile(0.5), 100, latencyHistogramDefaults.relativeErrorRatio);
  });
});
