/**
 * Time that stands still until a test moves it. Timers run in order of time, then of insertion, and
 * between two of them all promise jobs run, so that what a continuation schedules inside the span
 * that is passed over runs as well: a test sees the order it would see in real time, without waiting.
 *
 * Timers are kept in a binary heap that knows each timer's place, so that scheduling, running and
 * cancelling cost O(log n) and a cancelled timer leaves nothing behind.
 *
 * Promise jobs are flushed by one `process.nextTick`: Node empties the queue of promise jobs before
 * it runs the next tick, however long the chains are, and without a turn of the event loop. It also
 * looks for unhandled rejections only after the ticks, so a promise that rejects while time passes
 * may still be awaited afterwards. workerd's `nextTick` is a promise job itself; there a turn of the
 * event loop takes its place.
 */
import process from 'node:process';
import {
  type Clock,
  checkOptions,
  countRule,
  durationRule,
  InvalidOptionError,
  type OptionRule,
  type OptionRules,
} from '@resil/core';

/** Options of a {@link VirtualClock}. */
export interface VirtualClockOptions {
  /** Where the scale begins, in ms. Default: 0. */
  readonly now?: number | undefined;
}

/** Options of {@link VirtualClock.runUntilIdle} and {@link VirtualClock.runUntilSettled}. */
export interface RunOptions {
  /**
   * How many timers may run before it is taken for a runaway, at least 1.
   *
   * @defaultValue `virtualClockDefaults.limit` (100,000)
   */
  readonly limit?: number | undefined;
}

/** What a {@link VirtualClock} uses where an option is left out. */
export const virtualClockDefaults: { readonly now: number; readonly limit: number } = Object.freeze(
  {
    now: 0,
    limit: 100_000,
  },
);

interface Timer {
  readonly time: number;
  readonly order: number;
  readonly callback: () => void;
  /** Place in the heap; -1 once it ran or was cancelled. */
  place: number;
}

const clockRules: OptionRules<VirtualClockOptions> = {
  now: { test: Number.isFinite, text: 'a finite number' },
};
const runRules: OptionRules<RunOptions> = { limit: countRule(1) };
const timeRule = durationRule();
const delayRule = durationRule(0, true);

function check(option: string, value: number, rule: OptionRule): void {
  if (!rule.test(value)) throw new InvalidOptionError(option, value, `must be ${rule.text}`);
}

// Looked up once: fake timers that are installed later must not stop the clock.
const afterPromiseJobs: (callback: () => void) => unknown =
  (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent ===
  'Cloudflare-Workers'
    ? setImmediate
    : process.nextTick;

/**
 * A {@link Clock} for tests. May be shared by any number of layers and pipelines.
 *
 * @example
 * ```ts
 * const clock = new VirtualClock();
 * const order: string[] = [];
 * clock.schedule(() => order.push('second'), 20);
 * clock.schedule(() => order.push('first'), 10);
 * await clock.advance(15); // order is ['first'], clock.now() is 15
 * ```
 */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #heap: Timer[] = [];
  #advancing = false;

  /** @throws {@link InvalidOptionError} when an option is not what it may be. */
  constructor(options: VirtualClockOptions = {}) {
    checkOptions('VirtualClock', options, clockRules);
    this.#now = options.now ?? virtualClockDefaults.now;
  }

  /** Milliseconds on the virtual scale. */
  now(): number {
    return this.#now;
  }

  /** How many timers are waiting. */
  get pending(): number {
    return this.#heap.length;
  }

  /** When the next timer is due, on the clock's scale; `undefined` if none is waiting. */
  get nextAt(): number | undefined {
    return this.#heap[0]?.time;
  }

  /**
   * Runs `callback` once, `delay` milliseconds from now. A delay of `Infinity` never comes.
   *
   * @throws {@link InvalidOptionError} when `delay` is negative or not a number: the system's timers would silently
   * take it for 0.
   */
  schedule(callback: () => void, delay: number): () => void {
    check('delay', delay, delayRule);
    if (delay === Number.POSITIVE_INFINITY) return () => {};
    this.#order += 1;
    const timer: Timer = { time: this.#now + delay, order: this.#order, callback, place: -1 };
    this.#rise(timer, this.#heap.push(timer) - 1);
    return () => this.#remove(timer);
  }

  /** Runs all promise jobs that are waiting, and those that they lead to. No time passes. */
  flush(): Promise<void> {
    return new Promise((resolve) => void afterPromiseJobs(resolve));
  }

  /**
   * Lets `duration` milliseconds pass: runs what falls due in order, with all promise jobs before,
   * between and after. Advancing by 0 runs what is due now.
   *
   * Rejects with what a callback throws; the clock then stands at that callback's time, and the
   * timers after it still wait.
   */
  advance(duration: number): Promise<void> {
    check('duration', duration, timeRule);
    return this.advanceTo(this.#now + duration);
  }

  /** Lets time pass until the clock shows `time`, as {@link VirtualClock.advance} does. */
  async advanceTo(time: number): Promise<void> {
    if (!(time >= this.#now && Number.isFinite(time))) {
      const rule = `must be a finite time, not before now (${this.#now})`;
      throw new InvalidOptionError('time', time, rule);
    }
    await this.#exclusively(async () => {
      await this.flush();
      const runaway = new RunawayCheck((what) => this.#runaway(what));
      for (let timer = this.#due(time); timer !== undefined; timer = this.#due(time)) {
        runaway.count(timer.time);
        this.#run(timer);
        await this.flush();
      }
      this.#now = time;
    });
  }

  /**
   * Lets `duration` milliseconds pass at once, without running promise jobs: for code that has
   * none. What a callback throws is thrown.
   */
  tick(duration: number): void {
    check('duration', duration, timeRule);
    const time = this.#now + duration;
    const runaway = new RunawayCheck((what) => this.#runaway(what));
    for (let timer = this.#due(time); timer !== undefined; timer = this.#due(time)) {
      runaway.count(timer.time);
      this.#run(timer);
    }
    this.#now = Math.max(this.#now, time);
  }

  /**
   * Lets time pass until no timer is left, and stays at the time of the last one.
   *
   * Rejects when `limit` timers have run and there are still more (something schedules itself again
   * and again), and with what a callback throws.
   */
  async runUntilIdle(options: RunOptions = {}): Promise<void> {
    const limit = limitOf('runUntilIdle', options);
    await this.#exclusively(async () => {
      await this.flush();
      for (let count = 0; this.#heap.length > 0; count += 1) {
        if (count >= limit) throw this.#runaway(`${limit} timers have run`);
        this.#run(this.#heap[0] as Timer);
        await this.flush();
      }
    });
  }

  /**
   * Lets time pass, timer by timer, until `promise` has settled, and gives what it gives.
   *
   * Rejects when no timer is left that could settle it, when `limit` timers have run, and with what
   * a callback throws.
   */
  async runUntilSettled<T>(promise: PromiseLike<T>, options: RunOptions = {}): Promise<T> {
    const limit = limitOf('runUntilSettled', options);
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    promise.then(settle, settle);
    await this.#exclusively(async () => {
      await this.flush();
      for (let count = 0; !settled; count += 1) {
        const timer = this.#heap[0];
        if (timer === undefined) {
          throw new Error(`nothing is left at ${this.#now} ms that could settle the promise`);
        }
        if (count >= limit) throw this.#runaway(`${limit} timers have run`);
        this.#run(timer);
        await this.flush();
      }
    });
    return promise;
  }

  async #exclusively(body: () => Promise<void>): Promise<void> {
    if (this.#advancing) {
      throw new Error('the clock is being advanced already; await that first');
    }
    this.#advancing = true;
    try {
      await body();
    } finally {
      this.#advancing = false;
    }
  }

  #runaway(what: string): Error {
    const next = this.nextAt === undefined ? '' : `, the next one due at ${this.nextAt} ms`;
    return new Error(
      `${what} and ${this.pending} are waiting at ${this.#now} ms${next}: something schedules itself again and again`,
    );
  }

  #due(time: number): Timer | undefined {
    const timer = this.#heap[0];
    return timer !== undefined && timer.time <= time ? timer : undefined;
  }

  #run(timer: Timer): void {
    this.#remove(timer);
    // Not backwards: a callback may have let time pass by `tick`.
    this.#now = Math.max(this.#now, timer.time);
    timer.callback();
  }

  #remove(timer: Timer): void {
    const { place } = timer;
    if (place < 0) return;
    timer.place = -1;
    const last = this.#heap.pop() as Timer;
    if (last === timer) return;
    this.#rise(last, place);
    this.#sink(last, last.place);
  }

  /** Puts the timer at `place`, or above it where it belongs. */
  #rise(timer: Timer, place: number): void {
    let at = place;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = this.#heap[parentAt] as Timer;
      if (isBefore(parent, timer)) break;
      this.#put(parent, at);
      at = parentAt;
    }
    this.#put(timer, at);
  }

  /** Puts the timer at `place`, or below it where it belongs. */
  #sink(timer: Timer, place: number): void {
    let at = place;
    for (;;) {
      const left = 2 * at + 1;
      let child = this.#heap[left];
      if (child === undefined) break;
      const right = this.#heap[left + 1];
      if (right !== undefined && isBefore(right, child)) child = right;
      if (isBefore(timer, child)) break;
      const childAt = child.place;
      this.#put(child, at);
      at = childAt;
    }
    this.#put(timer, at);
  }

  #put(timer: Timer, place: number): void {
    this.#heap[place] = timer;
    timer.place = place;
  }
}

function isBefore(one: Timer, other: Timer): boolean {
  return one.time < other.time || (one.time === other.time && one.order < other.order);
}

function limitOf(name: string, options: RunOptions): number {
  checkOptions(name, options, runRules);
  return options.limit ?? virtualClockDefaults.limit;
}

/** Finds out that timers keep running while the clock stands still. */
class RunawayCheck {
  readonly #fail: (what: string) => Error;
  #time = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(fail: (what: string) => Error) {
    this.#fail = fail;
  }

  /** A timer of this time is about to run. */
  count(time: number): void {
    if (time !== this.#time) this.#count = 0;
    this.#time = time;
    this.#count += 1;
    const { limit } = virtualClockDefaults;
    if (this.#count > limit) throw this.#fail(`${limit} timers have run without time passing`);
  }
}
