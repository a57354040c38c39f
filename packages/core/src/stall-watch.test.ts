import { VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from './clock.js';
import { StallWatch } from './stall-watch.js';

let clock: VirtualClock;
/** What the clock shows is `behind` less than it would without a stall that no timer was run in. */
let stalled: number;
let stalling: Clock;
beforeEach(() => {
  clock = new VirtualClock();
  stalled = 0;
  stalling = {
    now: () => clock.now() + stalled,
    schedule: (callback, delay) => clock.schedule(callback, delay),
  };
});

describe('a watch for stalls', () => {
  it('tells of a stall to what began before its end', () => {
    const watch = new StallWatch(stalling, 50);
    watch.start(0);
    expect(watch.stalledSince(0, 0)).toBe(false);
    stalled = 69;
    expect(watch.stalledSince(0, 69)).toBe(false);
    stalled = 70;
    expect(watch.stalledSince(0, 70)).toBe(true);
    expect(watch.stalledSince(70, 70)).toBe(true);
    watch.stop();
    expect(watch.stalledSince(70, 500)).toBe(true);
    expect(watch.stalledSince(71, 500)).toBe(false);
  });

  it('beats on while it watches, so that time that passes by itself is no stall', async () => {
    const watch = new StallWatch(stalling, 50);
    watch.start(0);
    await clock.advance(10_000);
    expect(watch.stalledSince(0, clock.now())).toBe(false);
    stalled = 100;
    await clock.advance(200);
    stalled = 100;
    expect(watch.stalledSince(9_999, stalling.now())).toBe(true);
    expect(watch.stalledSince(stalling.now() - 20, stalling.now())).toBe(false);
    watch.stop();
    await clock.advance(1_000);
    expect(clock.pending).toBe(0);
  });

  it('that never tells has no timer', () => {
    const watch = new StallWatch(clock, Infinity);
    watch.start(0);
    expect(clock.pending).toBe(0);
    expect(watch.stalledSince(0, 100_000)).toBe(false);
    watch.stop();
  });
});
