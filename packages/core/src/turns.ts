/**
 * When calls may go: the Generic Cell Rate Algorithm (ITU-T I.371), with `next` for its theoretical arrival
 * time less the tolerance.
 *
 *   a call may go at `next`; it moves next to max(now - tolerance, next) + pace
 *
 * A pause moves it further; a slow time has a pace of its own and no tolerance.
 */

/** A turn is reached a nanosecond early, for what adding up fractions loses. */
const ROUNDING = 1e-6;

/** The turns of one rate limiter. */
export class Turns {
  readonly #pace: number;
  readonly #burstSize: number;
  /** The turn that was taken last. */
  #taken = -Infinity;
  #pausedUntil = -Infinity;
  /** The pace that a server's quota asked for, and until when. */
  #slowPace = 0;
  #slowUntil = -Infinity;

  /** `pace` is the time from one turn to the next, in ms. */
  constructor(pace: number, burstSize: number) {
    this.#pace = pace;
    this.#burstSize = burstSize;
  }

  get pausedUntil(): number {
    return this.#pausedUntil;
  }
  get slowUntil(): number {
    return this.#slowUntil;
  }

  /** Lets nobody go before `time`. */
  pauseUntil(time: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, time);
  }

  /** Goes at another pace until `time`. */
  slowUntilTime(time: number, pace: number): void {
    this.#slowPace = pace;
    this.#slowUntil = time;
  }

  isSlow(now: number): boolean {
    return now < this.#slowUntil;
  }

  paceAt(now: number): number {
    return this.isSlow(now) ? this.#slowPace : this.#pace;
  }

  /** How long what was not used of the rate counts, in ms. */
  toleranceAt(now: number): number {
    return this.isSlow(now) ? 0 : (this.#burstSize - 1) * this.#pace;
  }

  /** When the next call may go. */
  next(now: number): number {
    return Math.max(this.#taken + this.paceAt(now), this.#pausedUntil);
  }

  /** Whether a turn has come. */
  isReached(turn: number, now: number): boolean {
    return turn <= now + ROUNDING;
  }

  /** Calls that could go now, one right after the other. */
  available(now: number): number {
    const turn = this.next(now);
    if (!this.isReached(turn, now)) return 0;
    const saved = Math.min(now - turn, this.toleranceAt(now));
    return Math.floor((saved + ROUNDING) / this.paceAt(now)) + 1;
  }

  /** Milliseconds until who comes now has its turn, after so many others. */
  delay(others: number, now: number): number {
    const turn = this.after(others, now);
    return this.isReached(turn, now) ? 0 : turn - now;
  }

  /** When the call after so many others may go. */
  after(others: number, now: number): number {
    const first = this.next(now);
    if (!this.isSlow(now)) return first + others * this.#pace;
    const slow = Math.floor((this.#slowUntil - first) / this.#slowPace);
    if (others <= slow) return first + others * this.#slowPace;
    // The first turn after the slow time counts from the last one in it, at our own pace.
    const last = slow < 0 ? this.#taken : first + slow * this.#slowPace;
    const next = Math.max(this.#slowUntil, this.#pausedUntil, last + this.#pace);
    return next + (others - Math.max(slow, -1) - 1) * this.#pace;
  }

  /** Takes the next turn. What was not used of the rate counts for no longer than `tolerance`. */
  take(now: number, tolerance: number): void {
    this.#taken = Math.max(this.next(now), now - tolerance);
  }
}
