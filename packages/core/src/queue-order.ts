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

/**
 * Between which lengths of the queue, as multiples of the limit, a growing share of the calls is refused at
 * once: none up to `minQueueFactor`, all from `maxQueueFactor` on, in between as many as the queue is on
 * its way. Defaults: 2 and 3, as in failsafe-go.
 */
export interface EarlyRejectionOptions {
  /** At least 0. */
  readonly minQueueFactor?: number | undefined;
  /** Above `minQueueFactor`. */
  readonly maxQueueFactor?: number | undefined;
}

/** Defaults of early rejection. */
export const earlyRejectionDefaults: {
  readonly minQueueFactor: number;
  readonly maxQueueFactor: number;
} = Object.freeze({ minQueueFactor: 2, maxQueueFactor: 3 });

/** The share of calls to refuse with so many in the queue. */
export function earlyRejectionRatio(
  waiting: number,
  limit: number,
  { minQueueFactor, maxQueueFactor }: typeof earlyRejectionDefaults,
): number {
  const share = (waiting / limit - minQueueFactor) / (maxQueueFactor - minQueueFactor);
  return Math.min(1, Math.max(0, share));
}

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
