/**
 * The outcomes that a circuit breaker looks back on. Each window costs the same per call and the same
 * memory however full it is: running totals, corrected by what falls out.
 */

/** Bit of a slow outcome; the lowest bit is that of a failure. */
const FAILED = 1;
const SLOW = 2;

/** Outcomes a time window is cut into at most. */
const BUCKETS = 10;

/** A window over the latest outcomes. */
export interface FailureWindow {
  /** Adds an outcome that ended at `now`. */
  record(now: number, failed: boolean, slow: boolean): void;
  /** Forgets everything. */
  clear(): void;
  /** Outcomes in the window at `now`. */
  counts(now: number): WindowCounts;
  /** What `restore` needs to go on in another process. */
  snapshot(now: number): WindowSnapshot;
  /** Takes over what another window of the same kind held `elapsed` milliseconds ago; gives whether it could. */
  restore(snapshot: WindowSnapshot, now: number, elapsed: number): boolean;
}

/** Outcomes in a window. */
export interface WindowCounts {
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
}

/** A window as JSON: for each place, oldest first, the outcomes or their counts. */
export interface WindowSnapshot {
  readonly kind: 'calls' | 'duration';
  readonly size: number;
  /** Outcomes as bits (`calls`), or `[age in ms, calls, failures, slow]` of each filled part (`duration`). */
  readonly entries: readonly number[] | readonly (readonly [number, number, number, number])[];
}

/** The latest `size` outcomes, in a ring of bytes. */
export class CountWindow implements FailureWindow {
  readonly #ring: Uint8Array;
  #next = 0;
  #calls = 0;
  #failures = 0;
  #slow = 0;

  constructor(size: number) {
    this.#ring = new Uint8Array(size);
  }

  record(_now: number, failed: boolean, slow: boolean): void {
    const ring = this.#ring;
    if (this.#calls === ring.length) {
      const oldest = ring[this.#next] as number;
      this.#failures -= oldest & FAILED;
      this.#slow -= (oldest & SLOW) >> 1;
    } else this.#calls++;
    ring[this.#next] = (failed ? FAILED : 0) | (slow ? SLOW : 0);
    this.#next = (this.#next + 1) % ring.length;
    if (failed) this.#failures++;
    if (slow) this.#slow++;
  }

  clear(): void {
    this.#next = 0;
    this.#calls = 0;
    this.#failures = 0;
    this.#slow = 0;
  }

  counts(): WindowCounts {
    return { calls: this.#calls, failures: this.#failures, slow: this.#slow };
  }

  snapshot(): WindowSnapshot {
    const size = this.#ring.length;
    const first = this.#next - this.#calls + size;
    const entries = Array.from(
      { length: this.#calls },
      (_, index) => this.#ring[(first + index) % size] as number,
    );
    return { kind: 'calls', size, entries };
  }

  restore(snapshot: WindowSnapshot, now: number): boolean {
    if (snapshot.kind !== 'calls') return false;
    this.clear();
    for (const bits of (snapshot.entries as readonly number[]).slice(-this.#ring.length)) {
      this.record(now, (bits & FAILED) !== 0, (bits & SLOW) !== 0);
    }
    return true;
  }
}

/**
 * The outcomes of the latest `duration` milliseconds, in ten parts of equal length; an outcome is
 * forgotten between 90 % and 100 % of `duration` after it. After a pause every part that has run out is
 * dropped at once.
 */
export class DurationWindow implements FailureWindow {
  /** Milliseconds that it looks back. */
  readonly duration: number;
  readonly #width: number;
  /** By part, `calls, failures, slow`. */
  readonly #parts = new Float64Array(BUCKETS * 3);
  /** Number of the part that `now` fell into last, counted from the clock's zero. */
  #turn = -Infinity;
  #calls = 0;
  #failures = 0;
  #slow = 0;

  constructor(duration: number) {
    this.duration = duration;
    this.#width = duration / BUCKETS;
  }

  record(now: number, failed: boolean, slow: boolean): void {
    this.#turnTo(now);
    this.#add(this.#turn, 1, failed ? 1 : 0, slow ? 1 : 0);
  }

  clear(): void {
    this.#parts.fill(0);
    this.#turn = -Infinity;
    this.#calls = 0;
    this.#failures = 0;
    this.#slow = 0;
  }

  counts(now: number): WindowCounts {
    this.#turnTo(now);
    return { calls: this.#calls, failures: this.#failures, slow: this.#slow };
  }

  snapshot(now: number): WindowSnapshot {
    this.#turnTo(now);
    const entries: [number, number, number, number][] = [];
    for (let turn = this.#turn - BUCKETS + 1; turn <= this.#turn; turn++) {
      const at = partOf(turn);
      const calls = this.#parts[at] as number;
      if (calls === 0) continue;
      entries.push([
        Math.max(0, now - turn * this.#width),
        calls,
        this.#parts[at + 1] as number,
        this.#parts[at + 2] as number,
      ]);
    }
    return { kind: 'duration', size: this.duration, entries };
  }

  restore(snapshot: WindowSnapshot, now: number, elapsed: number): boolean {
    if (snapshot.kind !== 'duration') return false;
    this.clear();
    this.#turnTo(now);
    for (const entry of snapshot.entries) {
      const [age, calls, failures, slow] = entry as readonly [number, number, number, number];
      const turn = Math.floor((now - age - elapsed) / this.#width);
      if (turn > this.#turn - BUCKETS) this.#add(Math.min(turn, this.#turn), calls, failures, slow);
    }
    return true;
  }

  #add(turn: number, calls: number, failures: number, slow: number): void {
    const at = partOf(turn);
    this.#parts[at] = (this.#parts[at] as number) + calls;
    this.#parts[at + 1] = (this.#parts[at + 1] as number) + failures;
    this.#parts[at + 2] = (this.#parts[at + 2] as number) + slow;
    this.#calls += calls;
    this.#failures += failures;
    this.#slow += slow;
  }

  #turnTo(now: number): void {
    const turn = Math.floor(now / this.#width);
    if (turn <= this.#turn) return;
    const passed = Math.min(turn - this.#turn, BUCKETS);
    for (let step = 0; step < passed; step++) {
      const at = partOf(turn - step);
      this.#calls -= this.#parts[at] as number;
      this.#failures -= this.#parts[at + 1] as number;
      this.#slow -= this.#parts[at + 2] as number;
      this.#parts.fill(0, at, at + 3);
    }
    this.#turn = turn;
  }
}

/** Where the part of a turn begins. */
function partOf(turn: number): number {
  return (((turn % BUCKETS) + BUCKETS) % BUCKETS) * 3;
}
