/**
 * Every pending deadline of a clock, on one timer. A hierarchical timing wheel (Varghese & Lauck
 * 1987, scheme 7; as in the Linux kernel and tokio): six levels of 32 slots, the first of 1 ms, each
 * next one 32 times wider. Adding and removing cost the same however many deadlines are pending and
 * however long they are; an entry moves down at most five times before it expires. A deadline never
 * expires early, and expires in the millisecond after it at the latest, as far as the clock's timer
 * allows.
 */
import type { Clock, SwitchableClock } from './clock.js';

/** Something that ends at a time. The fields other than `deadline` belong to the wheel. */
export interface DeadlineEntry {
  /** When it ends, on the clock's scale. */
  readonly deadline: number;
  /** Called once when the deadline has passed, in the timer's context; must not throw. */
  expire(): void;
  wheelSlot: number;
  wheelPrevious: DeadlineEntry | undefined;
  wheelNext: DeadlineEntry | undefined;
}

/** `wheelSlot` of an entry that is in no wheel. */
export const NOT_PENDING = -1;

const BITS = 5;
const SLOTS = 1 << BITS;
const LEVELS = 6;
const WIDTHS = Array.from({ length: LEVELS }, (_, level) => SLOTS ** level);
const SPAN = SLOTS ** LEVELS;
/** An armed timer that is late by more does not run any more, though the clock did not tell. */
const LOST_TIMER = 1_000;
/** How long the timer of an empty wheel is kept for the next deadline, so that calls in sequence don't arm one each. */
const IDLE_DELAY = 20;

const wheels = new WeakMap<Clock, DeadlineWheel>();
const backgroundWheels = new WeakMap<Clock, DeadlineWheel>();

/** The wheel of a clock. */
export function deadlinesOf(clock: Clock): DeadlineWheel {
  return wheelOf(wheels, clock, false);
}

/** The wheel of a clock for what must not keep the process alive. */
export function backgroundDeadlinesOf(clock: Clock): DeadlineWheel {
  return wheelOf(backgroundWheels, clock, true);
}

/** Calls `expire` in `delay` milliseconds; the result ends that. */
export function expireAfter(clock: Clock, delay: number, expire: () => void): () => void {
  const wheel = deadlinesOf(clock);
  const now = clock.now();
  const entry: DeadlineEntry = {
    deadline: now + delay,
    expire,
    wheelSlot: NOT_PENDING,
    wheelPrevious: undefined,
    wheelNext: undefined,
  };
  wheel.add(entry, now);
  return () => wheel.remove(entry);
}

function wheelOf(
  known: WeakMap<Clock, DeadlineWheel>,
  clock: Clock,
  background: boolean,
): DeadlineWheel {
  let wheel = known.get(clock);
  if (wheel === undefined) {
    wheel = new DeadlineWheel(clock, background);
    known.set(clock, wheel);
  }
  return wheel;
}

/** The pending deadlines of one clock. */
export class DeadlineWheel {
  readonly #clock: Clock;
  readonly #background: boolean;
  /** What ran the clock's timers when one was last set; `undefined` if they can't be exchanged. */
  #timers: unknown;
  readonly #slots: (DeadlineEntry | undefined)[] = new Array(LEVELS * SLOTS).fill(undefined);
  /** One bit per slot that holds an entry, one number per level. */
  readonly #occupied: number[] = new Array(LEVELS).fill(0);
  /** The last millisecond whose deadlines have expired. */
  #tick = 0;
  #size = 0;
  #armedFor = Infinity;
  #disarm: (() => void) | undefined;
  #endIdleCheck: (() => void) | undefined;

  constructor(clock: Clock, background = false) {
    this.#clock = clock;
    this.#background = background;
    this.#timers = (clock as SwitchableClock).timers;
  }

  /** Number of pending deadlines. */
  get size(): number {
    return this.#size;
  }

  /** Adds an entry; `now` is the clock's present time. */
  add(entry: DeadlineEntry, now: number): void {
    if (this.#timers !== (this.#clock as SwitchableClock).timers) this.#switchTimers(now);
    else if (this.#size === 0) this.#tick = Math.floor(now);
    else if (now < this.#tick - 1) this.#rebase(now);
    this.#size++;
    const wake = this.#place(entry, Math.max(Math.ceil(entry.deadline), this.#tick + 1));
    if (wake < this.#armedFor) this.#arm(wake, now);
    else if (now > this.#armedFor + LOST_TIMER) this.#arm(this.#nextTick(), now);
  }

  /** Takes an entry out; does nothing if it is not pending. */
  remove(entry: DeadlineEntry): void {
    if (entry.wheelSlot === NOT_PENDING) return;
    this.#unlink(entry);
    if (--this.#size === 0) this.#whenIdle();
  }

  /** Links the entry into its slot and gives the tick at which the slot needs attention. */
  #place(entry: DeadlineEntry, tick: number): number {
    const distance = Math.min(tick - this.#tick, SPAN - 1);
    const level = distance < SLOTS ? 0 : Math.floor((31 - Math.clz32(distance)) / BITS);
    const width = WIDTHS[level] as number;
    const turn = level === 0 ? this.#tick + distance : Math.floor((this.#tick + distance) / width);
    const slot = level * SLOTS + (turn & (SLOTS - 1));
    const head = this.#slots[slot];
    entry.wheelSlot = slot;
    entry.wheelPrevious = undefined;
    entry.wheelNext = head;
    if (head !== undefined) head.wheelPrevious = entry;
    this.#slots[slot] = entry;
    this.#occupied[level] = (this.#occupied[level] as number) | (1 << (turn & (SLOTS - 1)));
    return turn * width;
  }

  #unlink(entry: DeadlineEntry): void {
    const { wheelSlot: slot, wheelPrevious: previous, wheelNext: next } = entry;
    if (next !== undefined) next.wheelPrevious = previous;
    if (previous !== undefined) previous.wheelNext = next;
    else {
      this.#slots[slot] = next;
      if (next === undefined) {
        const level = slot >> BITS;
        this.#occupied[level] = (this.#occupied[level] as number) & ~(1 << (slot & (SLOTS - 1)));
      }
    }
    entry.wheelSlot = NOT_PENDING;
    entry.wheelPrevious = undefined;
    entry.wheelNext = undefined;
  }

  /** The next tick at which a slot expires or has to be spread over the level below. */
  #nextTick(): number {
    let nearest = Infinity;
    for (let level = 0; level < LEVELS; level++) {
      const occupied = this.#occupied[level] as number;
      if (occupied === 0) continue;
      const width = WIDTHS[level] as number;
      const turn = Math.floor(this.#tick / width);
      // Rotated so that the slot after the present one is the lowest bit.
      const shift = (turn + 1) & (SLOTS - 1);
      const rotated = (occupied >>> shift) | (occupied << (SLOTS - shift));
      const steps = 32 - Math.clz32((rotated & -rotated) >>> 0);
      nearest = Math.min(nearest, (turn + steps) * width);
    }
    return nearest;
  }

  /** Expires what is due. */
  #advance(now: number): void {
    const target = Math.floor(now);
    for (let tick = this.#nextTick(); tick <= target; tick = this.#nextTick()) {
      this.#tick = tick;
      for (let level = LEVELS - 1; level > 0; level--) {
        const width = WIDTHS[level] as number;
        if (tick % width === 0) this.#spread(level * SLOTS + ((tick / width) & (SLOTS - 1)));
      }
      const due = tick & (SLOTS - 1);
      for (let entry = this.#slots[due]; entry !== undefined; entry = this.#slots[due]) {
        this.#unlink(entry);
        this.#size--;
        entry.expire();
      }
    }
    this.#tick = Math.max(this.#tick, target);
  }

  #spread(slot: number): void {
    for (let entry = this.#slots[slot]; entry !== undefined; entry = this.#slots[slot]) {
      this.#unlink(entry);
      this.#place(entry, Math.max(Math.ceil(entry.deadline), this.#tick));
    }
  }

  /**
   * Fake timers were put on or taken off. A timer that was set before is left to run in its own time:
   * what is pending may be due by then, with no later call to notice.
   */
  #switchTimers(now: number): void {
    this.#timers = (this.#clock as SwitchableClock).timers;
    if (this.#size > 0) this.#disarm = undefined;
    this.#letGo();
    this.#endIdleCheck?.();
    this.#endIdleCheck = undefined;
    if (this.#size > 0) this.#rebase(now);
    else this.#tick = Math.floor(now);
  }

  /** The clock went back: places every entry anew. */
  #rebase(now: number): void {
    const entries: DeadlineEntry[] = [];
    for (let slot = 0; slot < this.#slots.length; slot++) {
      for (let entry = this.#slots[slot]; entry !== undefined; entry = this.#slots[slot]) {
        this.#unlink(entry);
        entries.push(entry);
      }
    }
    this.#tick = Math.floor(now);
    for (const entry of entries)
      this.#place(entry, Math.max(Math.ceil(entry.deadline), this.#tick + 1));
    this.#arm(this.#nextTick(), now);
  }

  #arm(tick: number, now: number): void {
    this.#disarm?.();
    // A slot may have needed attention before; the timer is not late for that.
    this.#armedFor = Math.max(tick, now);
    const delay = Math.max(0, tick - now);
    this.#disarm = this.#clock.schedule(this.#onTimer, delay, this.#background);
  }

  readonly #onTimer = (): void => {
    this.#armedFor = Infinity;
    this.#disarm = undefined;
    this.#advance(this.#clock.now());
    if (this.#size === 0) return;
    const next = this.#nextTick();
    if (next < this.#armedFor) this.#arm(next, this.#clock.now());
  };

  /** Lets the timer go soon after the last deadline has gone, so that it does not keep the process alive. */
  #whenIdle(): void {
    if (this.#endIdleCheck !== undefined || this.#disarm === undefined) return;
    this.#endIdleCheck = this.#clock.schedule(
      () => {
        this.#endIdleCheck = undefined;
        if (this.#size === 0) this.#letGo();
      },
      IDLE_DELAY,
      this.#background,
    );
  }

  #letGo(): void {
    this.#disarm?.();
    this.#disarm = undefined;
    this.#armedFor = Infinity;
  }
}
