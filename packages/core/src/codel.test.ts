import { describe, expect, it } from 'vitest';
import { CoDel } from './codel.js';
import { SampleWindow } from './sample-window.js';

/** Takes one from a queue that always has somebody who waited `wait` ms; gives how many were dropped. */
function take(codel: CoDel, now: number, wait: number | undefined): number {
  let dropped = 0;
  codel.next(
    now,
    () => wait,
    () => dropped++,
  );
  return dropped;
}

describe('codel', () => {
  it('drops nobody while waits are below the target, or not above it for an interval', () => {
    const codel = new CoDel(5, 100);
    for (let now = 0; now < 500; now++) expect(take(codel, now, 4.9)).toBe(0);
    for (let now = 500; now < 600; now++) expect(take(codel, now, 50)).toBe(0);
    expect(take(codel, 600, 50)).toBe(1);
  });

  it('drops the next after interval / √count', () => {
    const codel = new CoDel(5, 100);
    const drops: number[] = [];
    for (let now = 0; now < 600; now += 0.001) if (take(codel, now, 50) > 0) drops.push(now);
    const between = drops.slice(1).map((at, index) => at - (drops[index] as number));
    [100, 70.711, 57.735, 50, 44.721, 40.825].forEach((expected, at) => {
      expect(between[at]).toBeCloseTo(expected, 1);
    });
  });

  it('stops when a wait is below the target, and comes back faster soon after', () => {
    const codel = new CoDel(5, 100);
    let dropped = 0;
    for (let now = 0; now < 500; now++) dropped += take(codel, now, 50);
    expect(dropped).toBe(7);
    expect(take(codel, 500, 1)).toBe(0);
    const drops: number[] = [];
    for (let now = 501; now < 750; now++) if (take(codel, now, 50) > 0) drops.push(now);
    // After an interval the first, then not a whole interval to the second.
    expect(drops[0]).toBe(601);
    // Of the seven drops before, six came after the first: the next is 100 / √6 away.
    expect((drops[1] as number) - 601).toBe(41);
  });

  it('has forgotten its drops after 16 intervals', () => {
    const codel = new CoDel(5, 100);
    for (let now = 0; now < 500; now++) take(codel, now, 50);
    take(codel, 500, 1);
    const drops: number[] = [];
    for (let now = 3_000; now < 3_300; now++) if (take(codel, now, 50) > 0) drops.push(now);
    expect(drops).toEqual([3_100, 3_200, 3_271]);
  });

  it('takes the target and the next drop as reached at their very time', () => {
    const codel = new CoDel(5, 100);
    expect([0, 99, 100, 199, 200].map((now) => take(codel, now, 5))).toEqual([0, 0, 1, 0, 1]);
  });

  it('makes up for drops that nobody came for, until one has not waited too long', () => {
    const codel = new CoDel(5, 100);
    for (const now of [0, 100]) take(codel, now, 50);
    const waits = [50, 50, 1, 50];
    let dropped = 0;
    codel.next(
      600,
      () => waits.shift(),
      () => dropped++,
    );
    expect(dropped).toBe(2);
    expect(waits).toEqual([50]);
    expect(take(codel, 601, 50)).toBe(0);
  });

  it('does not drop from an empty queue', () => {
    const codel = new CoDel(5, 100);
    for (let now = 0; now < 500; now++) expect(take(codel, now, undefined)).toBe(0);
  });
});

describe('a window of samples', () => {
  const options = { minDuration: 1_000, maxDuration: 1_000, minimumCalls: 10 };

  it('is the mean, the most in flight, and whether any was dropped', () => {
    const window = new SampleWindow(options);
    expect(window.add(10, 1, false, 0)).toBe(false);
    for (let sample = 0; sample < 9; sample++)
      expect(window.add(20, sample, sample === 4, 10)).toBe(false);
    expect(window.add(20, 3, false, 1_000)).toBe(false);
    expect(window.add(20, 3, false, 1_001)).toBe(true);
    expect(window).toMatchObject({ duration: 20, inFlight: 8, dropped: true });
  });

  it('counts for nothing with too few samples', () => {
    const window = new SampleWindow(options);
    window.add(10, 1, false, 0);
    for (let sample = 0; sample < 8; sample++) window.add(20, 1, false, 500);
    expect(window.add(20, 1, false, 1_001)).toBe(false);
  });

  it('lasts twice the shortest duration, within its bounds', () => {
    const window = new SampleWindow({ minDuration: 50, maxDuration: 500, minimumCalls: 1 });
    expect(window.add(100, 1, false, 0)).toBe(true);
    expect(window.add(5, 1, false, 200)).toBe(false);
    expect(window.add(5, 1, false, 201)).toBe(true);
    expect(window.add(900, 1, false, 251)).toBe(false);
    expect(window.add(900, 1, false, 252)).toBe(true);
    expect(window.add(900, 1, false, 752)).toBe(false);
    expect(window.add(900, 1, false, 753)).toBe(true);
  });

  it('leaves out what was too quick to have been there', () => {
    const window = new SampleWindow({ minDuration: 1, maxDuration: 1, minimumCalls: 1 });
    expect(window.add(0.09, 1, true, 5)).toBe(false);
  });
});
