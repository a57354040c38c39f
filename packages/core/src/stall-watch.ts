/**
 * Sees when the event loop stood still: a heartbeat on the clock comes late then. While nothing is
 * watched there is no heartbeat; it doesn't keep the process alive.
 */
import type { Clock } from './clock.js';
import { backgroundDeadlinesOf, type DeadlineEntry, NOT_PENDING } from './deadline-wheel.js';

/** Milliseconds between two beats. */
const BEAT = 20;

/** Watches from `start` to `stop`. */
export class StallWatch implements DeadlineEntry {
  deadline: number = Infinity;
  wheelSlot: number = NOT_PENDING;
  wheelPrevious: DeadlineEntry | undefined;
  wheelNext: DeadlineEntry | undefined;
  readonly #clock: Clock;
  readonly #duration: number;
  /** When the last stall had ended. */
  #stalledUntil = -Infinity;

  /** `duration` is how late a beat must be to tell of a stall, in ms; `Infinity` never watches. */
  constructor(clock: Clock, duration: number) {
    this.#clock = clock;
    this.#duration = duration;
  }

  /** Begins, if it has not. */
  start(now: number): void {
    if (this.#duration === Infinity || this.wheelSlot !== NOT_PENDING) return;
    this.deadline = now + BEAT;
    backgroundDeadlinesOf(this.#clock).add(this, now);
  }

  stop(): void {
    this.deadline = Infinity;
    backgroundDeadlinesOf(this.#clock).remove(this);
  }

  /** Whether the event loop stood still at any time since `startedAt`. */
  stalledSince(startedAt: number, now: number): boolean {
    this.#look(now);
    return startedAt <= this.#stalledUntil;
  }

  expire(): void {
    const now = this.#clock.now();
    this.#look(now);
    this.start(now);
  }

  #look(now: number): void {
    if (now - this.deadline >= this.#duration) this.#stalledUntil = now;
  }
}
