/**
 * Controlled delay (CoDel): drops from the front of a queue whose waiting time stays above a target.
 *
 * A queue that absorbs a burst empties again; one in which even the shortest wait of an `interval` is
 * above `targetDelay` only makes everybody late. Then one is dropped, the next after interval / √2, the
 * next after interval / √3, until the waits are below the target. By RFC 8289, which counts packets
 * where we count calls.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8289
 */

/** How a drop comes back sooner when the dropping of a moment ago was not enough: within so many intervals. */
const MEMORY = 16;

/** The control law over one queue. */
export class CoDel {
  readonly #targetDelay: number;
  readonly #interval: number;
  #aboveSince: number | undefined;
  #dropping = false;
  #nextDrop = 0;
  #count = 0;
  #lastCount = 0;

  constructor(targetDelay: number, interval: number) {
    this.#targetDelay = targetDelay;
    this.#interval = interval;
  }

  /**
   * Whoever is to go next is taken from the front of the queue.
   *
   * @param wait Milliseconds that the one in front has waited; `undefined` if nobody waits.
   * @param drop Drops the one in front.
   */
  next(now: number, wait: () => number | undefined, drop: () => void): void {
    let late = this.#late(now, wait());
    if (this.#dropping) {
      if (!late) this.#dropping = false;
      while (this.#dropping && now >= this.#nextDrop) {
        drop();
        this.#count++;
        late = this.#late(now, wait());
        if (late) this.#nextDrop += this.#interval / Math.sqrt(this.#count);
        else this.#dropping = false;
      }
      return;
    }
    if (!late) return;
    drop();
    this.#late(now, wait());
    this.#dropping = true;
    const before = this.#count - this.#lastCount;
    const recent = now - this.#nextDrop < MEMORY * this.#interval;
    this.#count = before > 1 && recent ? before : 1;
    this.#nextDrop = now + this.#interval / Math.sqrt(this.#count);
    this.#lastCount = this.#count;
  }

  /** Whether waits have been above the target for an interval. */
  #late(now: number, wait: number | undefined): boolean {
    if (wait === undefined || wait < this.#targetDelay) {
      this.#aboveSince = undefined;
      return false;
    }
    this.#aboveSince ??= now;
    return now - this.#aboveSince >= this.#interval;
  }
}
