/** A service's capacity: so many requests at a time, each of which takes so long. */
export class Workers {
  /** Milliseconds that a worker needs for one request. */
  serviceTime: number;
  /** Requests that were finished. */
  served = 0;
  /** Milliseconds that workers spent on them, added up: more than was asked for on a machine that is busy. */
  busyTime = 0;
  readonly #size: number;
  readonly #maxWaiting: number;
  readonly #queue: Array<() => void> = [];
  #head = 0;
  #busy = 0;

  constructor(size: number, serviceTime: number, maxWaiting: number) {
    this.#size = size;
    this.serviceTime = serviceTime;
    this.#maxWaiting = maxWaiting;
  }

  /** Requests that wait for a worker. */
  get waiting(): number {
    return this.#queue.length - this.#head;
  }

  /** Resolves when a worker has spent its time on one request; with `false` if too many wait already. */
  async serve(): Promise<boolean> {
    if (this.#busy >= this.#size) {
      if (this.waiting >= this.#maxWaiting) return false;
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    } else {
      this.#busy++;
    }
    const startedAt = performance.now();
    if (this.serviceTime > 0) await new Promise((resolve) => setTimeout(resolve, this.serviceTime));
    this.served++;
    this.busyTime += performance.now() - startedAt;
    this.#release();
    return true;
  }

  /** A worker goes straight on to who has waited longest. */
  #release(): void {
    const next = this.#queue[this.#head];
    if (next === undefined) {
      this.#busy--;
      return;
    }
    this.#head++;
    if (this.#head > 1_024 && this.#head * 2 > this.#queue.length) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
    next();
  }
}
