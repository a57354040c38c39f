/**
 * Lets the first lines of a kind through, counts those that follow, and tells their number when the
 * interval is over.
 */
import { type Clock, report } from '@resil/core';

/** Kinds told apart at a time; those beyond share one. */
const MAX_KINDS = 1_000;

interface Burst {
  readonly startedAt: number;
  lines: number;
  folded: number;
  /** Tells how many were folded, at the end of the interval. */
  end: (() => void) | undefined;
}

/** Bounds how many lines of a kind there are in an interval. */
export class LogBursts {
  readonly #maxLines: number;
  readonly #interval: number;
  readonly #clock: Clock;
  readonly #bursts = new Map<string, Burst>();
  readonly #timers = new Map<Burst, () => void>();

  constructor(maxLines: number, interval: number, clock: Clock) {
    this.#maxLines = maxLines;
    this.#interval = interval;
    this.#clock = clock;
  }

  /** Whether a line may be written; if not, `tell` is called with the number of those that were not, once. */
  allows(kind: string, tell: (folded: number) => void): boolean {
    const burst = this.#burstOf(kind);
    if (burst.lines < this.#maxLines) {
      burst.lines++;
      return true;
    }
    burst.folded++;
    if (burst.end !== undefined) return false;
    burst.end = () => {
      this.#timers.delete(burst);
      tell(burst.folded);
    };
    const left = burst.startedAt + this.#interval - this.#clock.now();
    this.#timers.set(
      burst,
      this.#clock.schedule(() => this.#end(burst), Math.max(0, left), true),
    );
    return false;
  }

  /** Tells of all that were not written, now. */
  flush(): void {
    for (const [burst, cancel] of this.#timers) {
      cancel();
      this.#end(burst);
    }
    this.#bursts.clear();
  }

  #end(burst: Burst): void {
    try {
      burst.end?.();
    } catch (error) {
      report(error, 'a logger');
    }
  }

  #burstOf(kind: string): Burst {
    const now = this.#clock.now();
    const known = this.#bursts.get(kind);
    if (known !== undefined && now - known.startedAt < this.#interval) return known;
    if (this.#bursts.size >= MAX_KINDS) {
      for (const [other, { startedAt }] of this.#bursts) {
        if (now - startedAt >= this.#interval) this.#bursts.delete(other);
      }
    }
    const room = known !== undefined || this.#bursts.size < MAX_KINDS;
    if (!room && kind !== OTHER_KINDS) return this.#burstOf(OTHER_KINDS);
    const burst: Burst = { startedAt: now, lines: 0, folded: 0, end: undefined };
    this.#bursts.set(kind, burst);
    return burst;
  }
}

const OTHER_KINDS = 'other';
