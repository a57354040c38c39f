/** Random histories of the deadline wheel against a plain list: in the right millisecond, none early, none lost. */
import { VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../src/clock.js';
import { type DeadlineEntry, DeadlineWheel, NOT_PENDING } from '../src/deadline-wheel.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';

const DAY = 86_400_000;

/** Milliseconds from nothing to a month, as often short as long. */
const duration = fc.oneof(
  fc.nat(40),
  fc.nat(2_000),
  fc.double({ min: 0, max: 100, noNaN: true }),
  fc.nat(100_000),
  fc.nat(30 * DAY),
  fc.constantFrom(1, 31, 32, 33, 1_023, 1_024, 1_025, 32_768, 2 ** 25, 2 ** 30, 2 ** 31, 13 * DAY),
);

/** What an entry does when it expires. */
type Follow = { readonly removes: number } | { readonly adds: number } | undefined;

type Step =
  | { readonly do: 'add'; readonly duration: number; readonly follow: Follow }
  | { readonly do: 'remove'; readonly which: number }
  | { readonly do: 'wait'; readonly time: number }
  /** The clock is set forward or back, as when fake timers are put on. */
  | { readonly do: 'jump'; readonly by: number };

const follow: fc.Arbitrary<Follow> = fc.oneof(
  { weight: 8, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.record({ removes: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ adds: fc.nat(1_500) }) },
);
const steady: { readonly weight: number; readonly arbitrary: fc.Arbitrary<Step> }[] = [
  { weight: 8, arbitrary: fc.record({ do: fc.constant('add' as const), duration, follow }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), which: fc.nat(50) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), time: duration }) },
];
const jump: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('jump' as const),
  by: fc.oneof(
    fc.integer({ min: -50, max: 50 }),
    fc.integer({ min: -DAY, max: DAY }),
    fc.constantFrom(-0.5, 0.5, -1, 1, 10 * DAY),
  ),
});

interface Pending extends DeadlineEntry {
  readonly id: number;
  readonly follow: Follow;
  /** First whole millisecond at which it may expire. */
  readonly due: number;
}

/** The wheel and a list, on a clock that can be set. */
class Pair {
  readonly #virtual: VirtualClock;
  #offset = 0;
  /** Milliseconds by which the clock was set so far, in either direction. */
  #set = 0;
  readonly #clock: Clock = {
    now: () => this.#virtual.now() + this.#offset,
    schedule: (callback, delay) => this.#virtual.schedule(callback, delay),
  };
  readonly #wheel = new DeadlineWheel(this.#clock);
  readonly #list: Pending[] = [];
  #added = 0;
  #expired = 0;

  constructor(origin: number) {
    this.#virtual = new VirtualClock({ now: origin });
  }

  take(step: Step): void {
    if (step.do === 'add') this.#add(step.duration, step.follow);
    else if (step.do === 'remove') this.#remove(step.which);
    else if (step.do === 'wait') this.#virtual.tick(step.time);
    else {
      this.#offset += step.by;
      this.#set += Math.abs(step.by);
    }
    same(this.#wheel.size, this.#list.length, 'pending deadlines');
    // One timer, and one that lets it go when the wheel is empty.
    same(this.#virtual.pending <= 2, true, `${this.#virtual.pending} timers`);
    if (step.do === 'wait') this.#expectNoneLost();
  }

  /** All that is left expires, and then no timer is left. Gives how many expired in all. */
  async finish(): Promise<number> {
    await this.#virtual.runUntilIdle();
    same(this.#list.length, 0, 'deadlines lost');
    same(this.#wheel.size, 0, 'pending deadlines');
    return this.#expired;
  }

  #add(time: number, next: Follow): void {
    const now = this.#clock.now();
    const deadline = now + time;
    const entry: Pending = {
      id: this.#added++,
      follow: next,
      deadline,
      due: Math.ceil(deadline),
      expire: () => this.#expire(entry),
      wheelSlot: NOT_PENDING,
      wheelPrevious: undefined,
      wheelNext: undefined,
    };
    this.#list.push(entry);
    this.#wheel.add(entry, now);
  }

  #remove(which: number): void {
    const entry = this.#list[which % this.#list.length];
    if (entry === undefined) return;
    this.#list.splice(this.#list.indexOf(entry), 1);
    this.#wheel.remove(entry);
    // Once more does nothing.
    this.#wheel.remove(entry);
  }

  #expire(entry: Pending): void {
    const now = this.#clock.now();
    const place = this.#list.indexOf(entry);
    same(place >= 0, true, `${entry.id} had expired or been removed`);
    this.#list.splice(place, 1);
    this.#expired += 1;
    same(now >= entry.deadline, true, `${entry.id} not early: ${entry.deadline - now}`);
    const late = now - entry.due;
    // The millisecond that was under way when it was added has been dealt with; and a timer that runs
    // already does not notice that the clock is set.
    const allowed = 1 + this.#set;
    same(late <= allowed, true, `${entry.id} not late: ${late}`);
    if (entry.follow === undefined) return;
    if ('removes' in entry.follow) this.#remove(entry.follow.removes);
    else this.#add(entry.follow.adds, undefined);
  }

  #expectNoneLost(): void {
    const now = this.#clock.now();
    for (const { id, due } of this.#list)
      same(due + 1 + this.#set > now, true, `${id} overdue by ${now - due}`);
  }
}

async function behavesAsAList(
  kinds: { readonly weight: number; readonly arbitrary: fc.Arbitrary<Step> }[],
  numRuns: number,
): Promise<void> {
  const steps = fc.array(fc.oneof(...kinds), { minLength: 5, maxLength: 50, size: 'max' });
  const origin = fc.oneof(
    fc.constant(0),
    fc.nat(5_000),
    fc.double({ min: 0, max: 1e9, noNaN: true }),
  );
  let expired = 0;
  await fc.assert(
    fc.asyncProperty(origin, steps, async (from, history) => {
      const pair = new Pair(from);
      for (const step of history) pair.take(step);
      expired += await pair.finish();
    }),
    runs(numRuns),
  );
  expect(expired).toBeGreaterThan(numRuns);
}

describe('DeadlineWheel', () => {
  it(
    'expires deadlines from 0 ms to a month in the right millisecond',
    async () => {
      await behavesAsAList(steady, 4_000);
    },
    PATIENCE,
  );

  it(
    'loses none and expires none early when the clock is set forward or back',
    async () => {
      await behavesAsAList([...steady, { weight: 2, arbitrary: jump }], 4_000);
    },
    PATIENCE,
  );

  it(
    'expires a whole deadline ahead at exactly that millisecond',
    () => {
      const whole = fc.array(fc.tuple(fc.nat(70_000), fc.integer({ min: 1, max: 10 * DAY })), {
        minLength: 1,
        maxLength: 30,
        size: 'max',
      });
      fc.assert(
        fc.property(whole, (adds) => {
          const clock = new VirtualClock();
          const wheel = new DeadlineWheel(clock);
          const seen: number[] = [];
          const wanted: number[] = [];
          for (const [pause, time] of adds) {
            clock.tick(pause);
            const deadline = clock.now() + time;
            wanted.push(deadline);
            const entry: DeadlineEntry = {
              deadline,
              expire: () => seen.push(clock.now()),
              wheelSlot: NOT_PENDING,
              wheelPrevious: undefined,
              wheelNext: undefined,
            };
            wheel.add(entry, clock.now());
          }
          clock.tick(11 * DAY);
          same(
            seen,
            wanted.sort((one, other) => one - other),
            'when they expired',
          );
        }),
        runs(2_000),
      );
    },
    PATIENCE,
  );

  it('finds those again whose timer was taken away, at the next deadline that is added', () => {
    const virtual = new VirtualClock();
    const armed: (() => void)[] = [];
    const clock: Clock = {
      now: () => virtual.now(),
      schedule: (callback, delay) => {
        const disarm = virtual.schedule(callback, delay);
        armed.push(disarm);
        return disarm;
      },
    };
    const wheel = new DeadlineWheel(clock);
    const seen: [number, number][] = [];
    const add = (time: number): void => {
      const deadline = virtual.now() + time;
      const entry: DeadlineEntry = {
        deadline,
        expire: () => seen.push([deadline, virtual.now()]),
        wheelSlot: NOT_PENDING,
        wheelPrevious: undefined,
        wheelNext: undefined,
      };
      wheel.add(entry, virtual.now());
    };
    add(5);
    add(3_000);
    for (const disarm of armed) disarm();
    virtual.tick(2_000);
    add(10_000);
    virtual.tick(20_000);
    same(
      seen,
      [
        [5, 2_000],
        [3_000, 3_000],
        [12_000, 12_000],
      ],
      'when they expired',
    );
  });

  it('keeps a short deadline when a long one is added after it in the same moment', () => {
    const clock = new VirtualClock();
    const wheel = new DeadlineWheel(clock);
    const seen: number[] = [];
    const add = (time: number): void => {
      const entry: DeadlineEntry = {
        deadline: clock.now() + time,
        expire: () => seen.push(clock.now()),
        wheelSlot: NOT_PENDING,
        wheelPrevious: undefined,
        wheelNext: undefined,
      };
      wheel.add(entry, clock.now());
    };
    add(600_000);
    clock.tick(100_000);
    add(10);
    add(40_000);
    clock.tick(600_000);
    same(seen, [100_010, 140_000, 600_000], 'when they expired');
  });
});
