/** The last minute of a row, small: calls that went well, and calls that did not. */

/** Samples that are kept. */
export const SPARK_SIZE = 60;

/** Calls per second over the last samples. */
export class Spark {
  readonly good = new Float32Array(SPARK_SIZE);
  readonly bad = new Float32Array(SPARK_SIZE);
  #busy = 0;

  add(good: number, bad: number): void {
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
