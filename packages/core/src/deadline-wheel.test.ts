import { seededRandom, VirtualClock } from '@resil/testing';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from './clock.js';
import { type DeadlineEntry, DeadlineWheel, deadlinesOf, NOT_PENDING } from './deadline-wheel.js';

const DAY = 86_400_000;

let clock: VirtualClock;
let wheel: DeadlineWheel;
beforeEach(() => {
  clock = new VirtualClock({ now: 1_000 });
  wheel = new DeadlineWheel(clock);
});

/** An entry that ends at `deadline` and keeps when it was told so. */
class Entry implements DeadlineEntry {
  readonly deadline: number;
  readonly expiredAt: number[] = [];
  readonly #then: () => void;
  wheelSlot = NOT_PENDING;
  wheelPrevious: DeadlineEntry | undefined;
  wheelNext: DeadlineEntry | undefined;

  constructor(deadline: number, then: () => void = () => {}) {
    this.deadline = deadline;
    this.#then = then;
  }

  expire(): void {
    this.expiredAt.push(clock.now());
    this.#then();
  }
}

function added(delay: number, then?: () => void): Entry {
  const entry = new Entry(clock.now() + delay, then);
  wheel.add(entry, clock.now());
  return entry;
}

describe('DeadlineWheel', () => {
  it.each([1, 2, 31, 32, 33, 100, 1_023, 1_024, 1_025, 32_768, 40_000, 1e6, DAY, 30 * DAY])(
    'expires a deadline in %d ms once, in its millisecond',
    async (delay) => {
      const entry = added(delay);
      await clock.advance(delay - 1);
      expect(entry.expiredAt).toEqual([]);
      await clock.advance(1);
      expect(entry.expiredAt).toEqual([1_000 + delay]);
      await clock.advance(2 * delay);
      expect(entry.expiredAt).toHaveLength(1);
      expect([wheel.size, entry.wheelSlot]).toEqual([0, NOT_PENDING]);
    },
  );

  it('expires what is farther away than it reaches', async () => {
    const delay = 3 * 32 ** 6;
    const entry = added(delay);
    await clock.advance(delay - 1);
    expect(entry.expiredAt).toEqual([]);
    await clock.advance(1);
    expect(entry.expiredAt).toEqual([1_000 + delay]);
  });

  it('never expires a fraction of a millisecond early, and less than one late', async () => {
    const random = seededRandom(5);
    const entries: Entry[] = [];
    for (let count = 0; count < 500; count++) {
      entries.push(added(random() * 5_000));
      await clock.advance(random() * 20);
    }
    await clock.runUntilIdle();
    for (const { deadline, expiredAt } of entries) {
      expect(expiredAt).toHaveLength(1);
      expect(expiredAt[0]).toBeGreaterThanOrEqual(deadline);
      expect(expiredAt[0]).toBeLessThanOrEqual(deadline + 1);
    }
  });

  it('takes a deadline that has passed for the next millisecond, not for now', async () => {
    const entry = added(-500);
    expect(entry.expiredAt).toEqual([]);
    await clock.advance(1);
    expect(entry.expiredAt).toEqual([1_001]);
  });

  it('expires nothing that was removed, also twice, also one of many in a slot', async () => {
    const entries = [0, 1, 2, 3].map(() => added(50));
    wheel.remove(entries[1] as Entry);
    wheel.remove(entries[1] as Entry);
    wheel.remove(entries[3] as Entry);
    expect(wheel.size).toBe(2);
    await clock.advance(50);
    expect(entries.map(({ expiredAt }) => expiredAt.length)).toEqual([1, 0, 1, 0]);
    wheel.remove(entries[0] as Entry);
    expect(wheel.size).toBe(0);
  });

  it('takes an entry again after it expired or was removed', async () => {
    const entry = new Entry(1_010);
    wheel.add(entry, 1_000);
    wheel.remove(entry);
    wheel.add(entry, 1_000);
    await clock.advance(10);
    expect(entry.expiredAt).toEqual([1_010]);
  });

  it('may be changed by an entry that expires', async () => {
    const other = added(50);
    const victim = added(20);
    const late: Entry[] = [];
    added(20, () => {
      wheel.remove(victim);
      wheel.remove(other);
      late.push(added(0), added(5));
    });
    await clock.advance(30);
    expect(other.expiredAt).toEqual([]);
    expect(late.map(({ expiredAt }) => expiredAt)).toEqual([[1_021], [1_025]]);
  });

  it('has one timer, whatever is pending', async () => {
    const entries = Array.from({ length: 2_000 }, (_, index) =>
      added(1 + ((index * 7_919) % 90_000)),
    );
    expect([wheel.size, clock.pending]).toEqual([2_000, 1]);
    await clock.advance(90_001);
    expect(entries.every(({ expiredAt }) => expiredAt.length === 1)).toBe(true);
  });

  it('arms its timer anew only for an earlier deadline', () => {
    const schedule = vi.spyOn(clock, 'schedule');
    added(500);
    for (let count = 0; count < 100; count++) added(500 + count);
    expect(schedule).toHaveBeenCalledTimes(1);
    added(10);
    expect(schedule).toHaveBeenCalledTimes(2);
  });

  it('keeps its timer for calls in sequence, and lets it go 20 ms after the last', async () => {
    const schedule = vi.spyOn(clock, 'schedule');
    for (let call = 0; call < 100; call++) wheel.remove(added(1_000));
    // One for the deadlines, one to see that nothing came.
    expect(schedule).toHaveBeenCalledTimes(2);
    await clock.advance(19);
    expect(clock.pending).toBe(2);
    await clock.advance(1);
    expect(clock.pending).toBe(0);
  });

  it('keeps its timer if something is pending again when it looks', async () => {
    wheel.remove(added(1_000));
    await clock.advance(10);
    const entry = added(500);
    await clock.advance(10);
    expect(clock.pending).toBe(1);
    await clock.advance(490);
    expect(entry.expiredAt).toEqual([1_510]);
    expect(clock.pending).toBe(0);
  });

  it('expires in order what became due while the timer was late', () => {
    const order: number[] = [];
    let now = 0;
    let run = (): void => {};
    const lateClock = {
      now: () => now,
      schedule: (callback: () => void) => {
        run = callback;
        return () => {};
      },
    };
    const late = new DeadlineWheel(lateClock);
    for (const deadline of [3_000, 40, 900, 35, 10]) {
      late.add(new Entry(deadline, () => order.push(deadline)), 0);
    }
    now = 2_000;
    run();
    expect(order).toEqual([10, 35, 40, 900]);
    expect(late.size).toBe(1);
  });

  it('places everything anew when the clock goes back', () => {
    let now = 50_000;
    let run = (): void => {};
    const back = new DeadlineWheel({
      now: () => now,
      schedule: (callback) => {
        run = callback;
        return () => {};
      },
    });
    const [old, young] = [new Entry(60_000), new Entry(120)];
    back.add(old, now);
    now = 100;
    back.add(young, now);
    now = 121;
    run();
    expect([old.expiredAt.length, young.expiredAt.length]).toEqual([0, 1]);
    now = 60_001;
    run();
    expect(old.expiredAt).toHaveLength(1);
  });
});

describe('deadlinesOf', () => {
  it('gives one wheel for each clock', () => {
    expect(deadlinesOf(clock)).toBe(deadlinesOf(clock));
    expect(deadlinesOf(clock)).not.toBe(deadlinesOf(new VirtualClock()));
    expect(deadlinesOf(systemClock)).toBe(deadlinesOf(systemClock));
  });
});
