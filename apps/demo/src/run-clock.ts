/**
 * The time of a run. It stands still while it is held: where a server takes longer to come back than
 * planned, as on a busy machine, the phases after it are as long as ever.
 */
export class RunClock {
  #startedAt = 0;
  #heldAt: number | undefined;

  /** Milliseconds of the run. */
  get now(): number {
    return (this.#heldAt ?? performance.now()) - this.#startedAt;
  }

  start(): void {
    this.#startedAt = performance.now();
  }

  hold(): void {
    this.#heldAt ??= performance.now();
  }

  go(): void {
    if (this.#heldAt === undefined) return;
    this.#startedAt += performance.now() - this.#heldAt;
    this.#heldAt = undefined;
  }
}
