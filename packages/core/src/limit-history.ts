/** Why a limit is what it is: the latest decisions, in fixed memory. */
import type { LimitReason } from './limit-algorithm.js';

/**
 * One decision about a limit. Decisions for the same reason, one after the other, are one: `from` is
 * the limit before the first and `to` that after the last.
 */
export interface LimitDecision {
  /** When the first sample came, on the clock's scale. */
  readonly at: number;
  /** When the last sample came, on the clock's scale. */
  readonly until: number;
  /** The limit before. */
  readonly from: number;
  /** The limit after. */
  readonly to: number;
  /** Why: that of the algorithm, or `stall` where samples were dropped because the event loop had stood still. */
  readonly reason: LimitReason | 'stall';
  /** How many samples said so. */
  readonly samples: number;
  /** Milliseconds that the last sample took. */
  readonly duration: number;
  /** Calls in flight with the last sample. */
  readonly inFlight: number;
}

type Entry = { -readonly [Name in keyof LimitDecision]: LimitDecision[Name] };

const SIZE = 20;

/** The latest decisions. */
export class LimitHistory {
  readonly #entries: Entry[] = [];
  #next = 0;

  /** Adds a decision. */
  add(
    reason: LimitDecision['reason'],
    at: number,
    from: number,
    to: number,
    duration: number,
    inFlight: number,
  ): void {
    const last = this.#entries[(this.#next + SIZE - 1) % SIZE];
    if (last?.reason === reason) {
      last.until = at;
      last.to = to;
      last.samples++;
      last.duration = duration;
      last.inFlight = inFlight;
      return;
    }
    this.#entries[this.#next] = { at, until: at, from, to, reason, samples: 1, duration, inFlight };
    this.#next = (this.#next + 1) % SIZE;
  }

  /** The decisions, oldest first. */
  list(): LimitDecision[] {
    const { length } = this.#entries;
    const first = length < SIZE ? 0 : this.#next;
    return Array.from({ length }, (_, at) => ({
      ...(this.#entries[(first + at) % SIZE] as LimitDecision),
    }));
  }
}
