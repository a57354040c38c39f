import { describe, expect, it } from 'vitest';
import {
  OutlierDetection,
  type OutlierDetectionOptions,
  resolveOutlierDetectionOptions,
  successRateThreshold,
} from './outlier-detection.js';

const SWEEP = 10_000;

/** A detection over so many endpoints, with what it told. */
function benchOf(size: number, options: OutlierDetectionOptions = {}) {
  const told: unknown[][] = [];
  const detection = new OutlierDetection(size, resolveOutlierDetectionOptions(options), {
    ejected: (index, reason, duration) => told.push(['ejected', index, reason, duration]),
    returned: (index) => told.push(['returned', index]),
  });
  detection.sweep(0);
  /** So many calls to an endpoint at `now`, of which `failures` fail, spread so that few are in a row. */
  const load = (index: number, calls: number, failures: number, now = 1): void => {
    for (let call = 0; call < calls; call++) {
      const failed =
        Math.floor(((call + 1) * failures) / calls) > Math.floor((call * failures) / calls);
      detection.record(index, detection.generation(index), !failed, now);
    }
  };
  const fail = (index: number, times: number, now: number): void => {
    for (let call = 0; call < times; call++)
      detection.record(index, detection.generation(index), false, now);
  };
  const ejected = (): number[] =>
    Array.from({ length: size }, (_, index) => index).filter((index) => detection.isEjected(index));
  return { detection, told, load, fail, ejected };
}

/** Only one of the ways to be ejected. */
const byRate: OutlierDetectionOptions = { failureThreshold: false, failureShare: false };
const byShare: OutlierDetectionOptions = { failureThreshold: false, successRate: false };
const inARow: OutlierDetectionOptions = { successRate: false, failureShare: false };

describe('outlierDetection', () => {
  describe('by success rate', () => {
    it("keeps Envoy's example: four hosts at 100 %, one at 50 %, of 200 calls each", () => {
      const { mean, deviation, threshold } = successRateThreshold([1, 1, 1, 1, 0.5], 1.9);
      expect(
        [mean, deviation ** 2, deviation, threshold].map((n) => Number(n.toFixed(12))),
      ).toEqual([0.9, 0.04, 0.2, 0.52]);
      const { detection, load, ejected, told } = benchOf(5, byRate);
      for (const index of [0, 1, 2, 3]) load(index, 200, 0);
      load(4, 200, 100);
      detection.sweep(SWEEP - 1);
      expect(ejected()).toEqual([]);
      detection.sweep(SWEEP);
      expect(ejected()).toEqual([4]);
      expect(told).toEqual([['ejected', 4, 'success-rate', 30_000]]);
    });

    it.each([
      { rates: [100, 100, 100, 100, 100, 100, 100, 100, 100, 0], threshold: 33 },
      { rates: [100, 99, 98, 97, 90], threshold: 90.0664 },
      { rates: [100, 100, 100, 100, 100], threshold: 100 },
    ])('has the threshold $threshold for $rates', ({ rates, threshold }) => {
      expect(successRateThreshold(rates, 1.9).threshold).toBeCloseTo(threshold, 4);
    });

    it.each([
      { title: 'nobody while all are at 100 %', failures: [0, 0, 0, 0, 0], out: [] },
      { title: 'nobody while all are equally bad', failures: [9, 9, 9, 9, 9], out: [] },
      { title: 'the one that gives nothing', failures: [0, 0, 0, 0, 100], out: [4] },
      { title: 'nobody who is all but equal', failures: [0, 1, 2, 3, 10], out: [] },
      {
        title: 'by the formula alone where there is no minimumGap',
        failures: [0, 1, 2, 3, 10],
        options: { minimumGap: 0 },
        out: [4],
      },
      {
        title: 'nobody within a larger deviationFactor',
        failures: [0, 0, 0, 0, 50],
        options: { deviationFactor: 2.1 },
        out: [],
      },
    ])('ejects $title', ({ failures, options, out }) => {
      const { detection, load, ejected } = benchOf(failures.length, {
        ...byRate,
        successRate: { ...options },
      });
      for (const [index, count] of failures.entries()) load(index, 100, count);
      detection.sweep(SWEEP);
      expect(ejected()).toEqual(out);
    });

    it('needs minimumEndpoints with minimumCalls each', () => {
      const four = benchOf(4, byRate);
      for (const index of [0, 1, 2]) four.load(index, 200, 0);
      four.load(3, 200, 200);
      four.detection.sweep(SWEEP);
      expect(four.ejected()).toEqual([]);
      const few = benchOf(5, byRate);
      for (const index of [0, 1, 2]) few.load(index, 200, 0);
      few.load(3, 99, 0);
      few.load(4, 200, 200);
      few.detection.sweep(SWEEP);
      expect(few.ejected()).toEqual([]);
    });

    it('leaves out of the mean, and in place, who had too few calls', () => {
      const { detection, load, ejected } = benchOf(6, byRate);
      for (const index of [0, 1, 2, 3]) load(index, 100, 0);
      load(4, 100, 60);
      load(5, 99, 99);
      detection.sweep(SWEEP);
      expect(ejected()).toEqual([4]);
    });

    it('counts each interval by itself', () => {
      const { detection, load, ejected } = benchOf(5, byRate);
      for (const at of [1, SWEEP + 1]) {
        for (const index of [0, 1, 2, 3]) load(index, 60, 0, at);
        load(4, 60, 60, at);
      }
      detection.sweep(2 * SWEEP);
      expect(ejected()).toEqual([]);
    });
  });

  describe('by failure share', () => {
    it.each([
      { failures: 84, out: [] },
      { failures: 85, out: [0] },
      { failures: 100, out: [0] },
    ])('with $failures of 100 failed ejects $out', ({ failures, out }) => {
      const { detection, load, ejected } = benchOf(5, byShare);
      load(0, 100, failures);
      detection.sweep(SWEEP);
      expect(ejected()).toEqual(out);
    });

    it('needs minimumCalls, and minimumEndpoints in the list, with calls or without', () => {
      const few = benchOf(5, byShare);
      few.load(0, 49, 49);
      few.detection.sweep(SWEEP);
      expect(few.ejected()).toEqual([]);
      const four = benchOf(4, byShare);
      four.load(0, 50, 50);
      four.detection.sweep(SWEEP);
      expect(four.ejected()).toEqual([]);
      const two = benchOf(2, { ...byShare, failureShare: { minimumEndpoints: 2 } });
      two.load(0, 50, 50);
      two.detection.sweep(SWEEP);
      expect(two.ejected()).toEqual([0]);
    });
  });

  describe('by consecutive failures', () => {
    it('ejects at once at failureThreshold, and a success begins anew', () => {
      const { detection, fail, ejected, told } = benchOf(2, inARow);
      fail(0, 4, 5);
      detection.record(0, detection.generation(0), true, 5);
      fail(0, 4, 5);
      expect(ejected()).toEqual([]);
      fail(0, 1, 5);
      expect(ejected()).toEqual([0]);
      expect(told).toEqual([['ejected', 0, 'consecutive-failures', 30_000]]);
    });

    it('takes no notice of calls that began before the last ejection or return', () => {
      const { detection, fail, ejected } = benchOf(2, inARow);
      const before = detection.generation(0);
      fail(0, 5, 0);
      detection.sweep(30_000);
      expect(ejected()).toEqual([]);
      for (let call = 0; call < 5; call++) detection.record(0, before, false, 30_001);
      expect(ejected()).toEqual([]);
    });
  });

  describe('the time of an ejection', () => {
    it('is 30 s, then 60 s, 90 s and so on in a row, and never more than 300 s', () => {
      const { detection, fail, told } = benchOf(2, inARow);
      let now = 0;
      for (let round = 0; round < 12; round++) {
        fail(0, 5, now);
        const [, , , duration] = told.at(-1) as [string, number, string, number];
        now += duration;
        detection.sweep(now - 1);
        expect(detection.isEjected(0)).toBe(true);
        detection.sweep(now);
        expect(detection.isEjected(0)).toBe(false);
      }
      const durations = told.filter(([type]) => type === 'ejected').map((event) => event[3]);
      expect(durations).toEqual(
        [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300].map((s) => s * 1_000),
      );
    });

    it('ends with the first sweep at or after it', () => {
      const { detection, fail, ejected } = benchOf(2, inARow);
      fail(0, 5, 1);
      detection.sweep(30_000);
      expect(ejected()).toEqual([0]);
      detection.sweep(40_000);
      expect(ejected()).toEqual([]);
    });

    it('gets shorter again with each sweep that finds the endpoint in', () => {
      const { detection, fail, told } = benchOf(2, inARow);
      fail(0, 5, 0);
      detection.sweep(30_000);
      fail(0, 5, 30_000);
      detection.sweep(90_000);
      expect(detection.ejections(0)).toBe(2);
      detection.sweep(100_000);
      expect(detection.ejections(0)).toBe(1);
      fail(0, 5, 100_001);
      expect(told.at(-1)).toEqual(['ejected', 0, 'consecutive-failures', 60_000]);
    });

    it('is longer for one that a sweep finds bad again right after its return', () => {
      const { detection, load, told } = benchOf(5, byShare);
      load(0, 50, 50, 1);
      detection.sweep(40_000);
      load(0, 50, 50, 40_001);
      detection.sweep(50_000);
      expect(told.map((event) => event[3])).toEqual([30_000, undefined, 60_000]);
    });

    it('may be given, the longest too', () => {
      const options = { ...inARow, baseEjectionDuration: 400_000 };
      const long = benchOf(2, options);
      long.fail(0, 5, 0);
      expect(long.told).toEqual([['ejected', 0, 'consecutive-failures', 400_000]]);
      long.detection.sweep(400_000);
      long.fail(0, 5, 400_000);
      expect(long.told.at(-1)?.[3]).toBe(400_000);
    });
  });

  describe('how many', () => {
    it.each([
      { size: 1, ratio: 1, out: 0 },
      { size: 2, ratio: 0.1, out: 1 },
      { size: 2, ratio: 1, out: 1 },
      { size: 3, ratio: 0.5, out: 1 },
      { size: 3, ratio: 1, out: 2 },
      { size: 4, ratio: 0.5, out: 2 },
      { size: 10, ratio: 0.1, out: 1 },
      { size: 10, ratio: 0.3, out: 3 },
      { size: 10, ratio: 1, out: 9 },
    ])('of $size with maxEjectionRatio $ratio: $out', ({ size, ratio, out }) => {
      const { fail, ejected } = benchOf(size, { ...inARow, maxEjectionRatio: ratio });
      for (let index = 0; index < size; index++) fail(index, 5, 0);
      expect(ejected()).toHaveLength(out);
    });

    it('makes up for a place when one comes back', () => {
      const { detection, fail, ejected } = benchOf(3, inARow);
      fail(0, 5, 0);
      fail(1, 9, 0);
      expect(ejected()).toEqual([0]);
      detection.sweep(30_000);
      fail(1, 1, 30_001);
      expect(ejected()).toEqual([1]);
    });
  });

  it('observes without ejecting, and tells each ejection once', () => {
    const { fail, ejected, told, detection } = benchOf(2, { ...inARow, mode: 'observe' });
    fail(0, 50, 0);
    expect(ejected()).toEqual([]);
    expect(told).toEqual([['ejected', 0, 'consecutive-failures', 30_000]]);
    detection.sweep(30_000);
    expect(told.at(-1)).toEqual(['returned', 0]);
  });

  it('makes up for sweeps that nobody asked for, each at its own time', () => {
    const often = benchOf(5, byRate);
    const late = benchOf(5, byRate);
    for (const { load } of [often, late]) {
      for (const index of [0, 1, 2, 3]) load(index, 100, 0);
      load(4, 100, 100);
    }
    for (let now = SWEEP; now <= 3_600_000; now += SWEEP) often.detection.sweep(now);
    late.detection.sweep(3_600_000);
    expect(late.told).toEqual(often.told);
    expect(late.told).toEqual([
      ['ejected', 4, 'success-rate', 30_000],
      ['returned', 4],
    ]);
    for (const { load, detection } of [often, late]) {
      for (const index of [0, 1, 2, 3]) load(index, 100, 0, 3_600_001);
      load(4, 100, 100, 3_600_001);
      detection.sweep(3_609_999);
      expect(detection.isEjected(4)).toBe(false);
      detection.sweep(3_610_000);
      expect(detection.isEjected(4)).toBe(true);
    }
  });

  it('is over at a health check that passes, if that may end it', () => {
    const ends = benchOf(2, inARow);
    ends.fail(0, 5, 0);
    ends.detection.end(0);
    expect(ends.ejected()).toEqual([]);
    const stays = benchOf(2, { ...inARow, endedByHealthCheck: false });
    stays.fail(0, 5, 0);
    stays.detection.end(0);
    expect(stays.ejected()).toEqual([0]);
  });
});
