/**
 * Batches and their handler. A handler that fails is run again with the messages that it has not
 * resolved. When all its attempts have failed, the messages are halved until the one that is to blame
 * stands alone: that one is given up, and the others are handled.
 */
import type { Batch, EachBatchHandler, EachBatchPayload } from 'kafkajs';
import { DONE, type Handled, type Handling, type Work } from './handling.js';
import type { MessagePlace } from './message-place.js';

/** A batch, its handler, and whether a handler that returns has handled all of it, as kafkajs' option says. */
export interface BatchWork {
  readonly payload: EachBatchPayload;
  readonly handler: EachBatchHandler;
  readonly eachBatchAutoResolve: boolean;
  /** Last offset that was resolved in a round before. Default: none. */
  readonly resolved?: bigint;
}

/** Handles a batch. Rejects with the error of a rebalance alone. */
export function handleBatch(handling: Handling, batchWork: BatchWork): Promise<Handled> {
  const run = new BatchRun(handling, batchWork);
  return handling.alive(batchWork.payload.heartbeat, (work) => run.handle(work));
}

class BatchRun {
  readonly #handling: Handling;
  readonly #work: BatchWork;
  readonly #places: readonly MessagePlace[];
  /** Number of the first message that is not resolved. */
  #next = 0;

  constructor(handling: Handling, work: BatchWork) {
    const { topic, partition, messages } = work.payload.batch;
    const { resolved = -1n } = work;
    this.#handling = handling;
    this.#work = work;
    this.#places = messages
      .map((message) => ({ topic, partition, message }))
      .filter((place) => BigInt(place.message.offset) > resolved && !handling.isForeign(place));
  }

  async handle(work: Work): Promise<Handled> {
    const { payload, handler, eachBatchAutoResolve } = this.#work;
    // How many messages from the first on are known to hold one that fails; 0 if nothing is known.
    let suspects = 0;
    for (let head = this.#head; head !== undefined; head = this.#head) {
      const size = suspects === 0 ? Infinity : Math.ceil(suspects / 2);
      const first = this.#next;
      const end = this.#endOf(size);
      const once = size > 1 && size < Infinity;
      const handled = await this.#handling.attempt(
        work,
        head,
        async (resilience) => {
          // It has resolved all, and failed all the same.
          if (this.#next === end) return;
          const batch = this.#view(this.#places.slice(this.#next, end));
          const resolveOffset = (offset: string): void => this.#resolve(offset);
          await handler({ ...payload, batch, resolveOffset, resilience });
        },
        once,
      );
      if (handled.kind === 'held') return handled;
      const left = this.#places.slice(this.#next, end);
      const [blamed] = left;
      if (handled.kind === 'done') {
        const last = left.at(-1);
        // Who resolves offsets says how far it came, and the rest comes again.
        if (last !== undefined && !eachBatchAutoResolve) return DONE;
        if (last !== undefined) this.#resolve(last.message.offset);
        suspects = Math.max(0, suspects - (end - first));
      } else if (left.length > 1) {
        // Who has resolved what is in front of it has most likely failed with the first that is left.
        suspects = this.#next > first ? 2 : left.length;
      } else {
        const given = blamed && (await this.#handling.giveUp(blamed, handled));
        if (given?.kind === 'held') return given;
        if (blamed !== undefined) this.#resolve(blamed.message.offset);
        suspects = 0;
      }
      // What is left comes again, elsewhere or after a seek.
      if (!payload.isRunning() || payload.isStale()) return DONE;
    }
    // Also what lies behind the last message: control records, and messages of other groups.
    if (!payload.isStale()) payload.resolveOffset(payload.batch.lastOffset());
    return DONE;
  }

  get #head(): MessagePlace | undefined {
    return this.#places[this.#next];
  }

  /** Where the next `size` messages end, or those that are due. */
  #endOf(size: number): number {
    const limit = Math.min(this.#places.length, this.#next + size);
    let end = this.#next + 1;
    while (end < limit && this.#handling.delayOf(this.#places[end] as MessagePlace) === 0) end += 1;
    return end;
  }

  #resolve(offset: string): void {
    const resolved = BigInt(offset);
    for (let head = this.#head; head !== undefined; head = this.#head) {
      if (BigInt(head.message.offset) > resolved) break;
      this.#next += 1;
    }
    this.#work.payload.resolveOffset(offset);
  }

  /** The batch with some of its messages. */
  #view(places: readonly MessagePlace[]): Batch {
    const { batch } = this.#work.payload;
    const messages = places.map(({ message }) => message);
    if (messages.length === batch.messages.length) return batch;
    const first = messages[0]?.offset ?? null;
    const last = messages.at(-1)?.offset ?? batch.lastOffset();
    const lag = (offset: string | null): string =>
      offset === null ? '0' : String(BigInt(batch.highWatermark) - 1n - BigInt(offset));
    return Object.assign(Object.create(batch) as Batch, {
      messages,
      isEmpty: () => messages.length === 0,
      firstOffset: () => first,
      lastOffset: () => last,
      offsetLag: () => lag(last),
      offsetLagLow: () => lag(first),
    });
  }
}
