/** The last minute of a row, small: calls that went well, and calls that did not. */

import { recentSize } from '../protocol.js';

/** Samples that are kept. */
export const SPARK_SIZE: number = recentSize;

/** Calls per second over the last samples. */
export class Spark {
  readonly good = new Float32Array(SPARK_SIZE);
  readonly bad = new Float32Array(SPARK_SIZE);
  #busy = 0;
  #added = 0;

  /** Puts what was before in front of what came since. */
  fill(good: readonly number[], bad: readonly number[]): void {
    const room = SPARK_SIZE - Math.min(SPARK_SIZE, this.#added);
    this.good.set(good.slice(SPARK_SIZE - room));
    this.bad.set(bad.slice(SPARK_SIZE - room));
    this.#busy = SPARK_SIZE;
  }

  add(good: number, bad: number): void {
    this.#added++;
    this.good.copyWithin(0, 1);
    this.bad.copyWithin(0, 1);
    this.good[SPARK_SIZE - 1] = good;
    this.bad[SPARK_SIZE - 1] = bad;
    this.#busy = good + bad > 0 ? SPARK_SIZE : Math.max(0, this.#busy - 1);
  }

  /** Whether there is anything to draw, or to draw away. */
  get busy(): boolean {
    return this.#busy > 0;
  }
}
