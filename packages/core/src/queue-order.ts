/**
 * In which order calls leave the queue of a limiter, and how long they may stand in it: first come first
 * served; the same with CoDel (codel.ts), which sends away the first while calls wait too long; or
 * adaptive LIFO (Maurer, "Fail at Scale", 2015), where the newest, which has the most time left, goes first
 * once the queue no longer empties, and the others may wait for a moment only.
 */
import type { CoDel } from './codel.js';
import type { Waiter, WaitQueue } from './wait-queue.js';

/** Which calls go first, and which are sent away. */
export type QueueDiscipline = 'fifo' | 'codel' | 'adaptive-lifo';

/** What a {@link QueueOrder} goes by. */
export interface QueueOrderOptions {
  readonly discipline: QueueDiscipline;
  readonly queueTimeout: number;
  readonly targetDelay: number;
  readonly queueInterval: number;
}

/** The order of all queues of one limiter. */
export class QueueOrder {
  readonly #options: QueueOrderOptions;
  /** Since when somebody has been waiting all the time; `undefined` if nobody waits. */
  #since: number | undefined;

  constructor(options: QueueOrderOptions) {
    this.#options = options;
  }

  /** Somebody comes, behind `waiting` others in all queues; gives how long it may wait, in ms. */
  join(waiting: number, now: number): number {
    if (waiting === 0) this.#since = now;
    const { discipline, queueTimeout, targetDelay, queueInterval } = this.#options;
    if (discipline !== 'adaptive-lifo') return queueTimeout;
    return Math.min(queueTimeout, this.#isStanding(now) ? targetDelay : queueInterval);
  }

  /** Who of a queue goes next; `sendAway` gets those who have waited too long to be worth it. */
  next<T>(
    queue: WaitQueue<T>,
    codel: CoDel,
    now: number,
    sendAway: (waiter: Waiter<T>) => void,
  ): Waiter<T> | undefined {
    const { discipline } = this.#options;
    if (discipline === 'adaptive-lifo' && this.#isStanding(now)) return queue.last;
    if (discipline === 'codel') {
      codel.next(
        now,
        () => (queue.first === undefined ? undefined : now - queue.first.since),
        () => sendAway(queue.first as Waiter<T>),
      );
    }
    return queue.first;
  }

  /** Whether the queue has not been empty for so long that it won't empty by itself. */
  #isStanding(now: number): boolean {
    return this.#since !== undefined && now - this.#since > this.#options.queueInterval;
  }
}
