/**
 * Bulkhead: at most so many calls at a time, and at most so many waiting.
 *
 * Calls wait first come, first served. A permit that becomes free is handed to the one who waits
 * longest; a newcomer cannot take it. A waiter leaves at once when its signal aborts, its deadline
 * passes, or `queueTimeout` is over. The queue is a linked list: entering, leaving and dropping out
 * of its middle cost the same however long it is. The one who waited goes on in its own async
 * context, because it goes on from its own promise.
 */
import type { Call } from './call.js';
import {
  type DeadlineEntry,
  type DeadlineWheel,
  deadlinesOf,
  NOT_PENDING,
} from './deadline-wheel.js';
import { BulkheadFullError, QueueTimeoutError } from './errors.js';
import { type CompositeLayer, type Guard, type Layer, permitOf, Refusal } from './layer.js';
import { SingleLayer } from './single-layer.js';
import { Timeout } from './timeout.js';
import {
  checkOptions,
  countRule,
  durationRule,
  nameRule,
  type OptionRules,
  positiveDurationRule,
} from './validate.js';

/** Options of {@link bulkhead}. */
export interface BulkheadOptions {
  /**
   * Calls that may run at the same time.
   *
   * At least 1; `Infinity` for no limit (then it only counts).
   *
   * @defaultValue `bulkheadDefaults.maxConcurrentCalls` (10)
   */
  readonly maxConcurrentCalls?: number | undefined;
  /**
   * Calls that may wait for a permit; 0 refuses at once.
   *
   * @defaultValue `bulkheadDefaults.maxQueueSize` (0)
   */
  readonly maxQueueSize?: number | undefined;
  /**
   * Milliseconds a call may wait for a permit; `Infinity` for as long as its deadline allows.
   *
   * @defaultValue `bulkheadDefaults.queueTimeout` (1,000)
   */
  readonly queueTimeout?: number | undefined;
  /** Milliseconds a call may take once it runs: a `timeout` inside the bulkhead. Default: no timeout. */
  readonly timeout?: number | undefined;
  /** Name in errors and events. @defaultValue `'bulkhead'` */
  readonly name?: string | undefined;
}

/** Defaults of {@link bulkhead}. */
export const bulkheadDefaults: {
  readonly maxConcurrentCalls: number;
  readonly maxQueueSize: number;
  readonly queueTimeout: number;
  readonly name: string;
} = Object.freeze({
  maxConcurrentCalls: 10,
  maxQueueSize: 0,
  queueTimeout: 1_000,
  name: 'bulkhead',
});

const rules: OptionRules<BulkheadOptions> = {
  maxConcurrentCalls: countRule(1, true),
  maxQueueSize: countRule(0),
  queueTimeout: durationRule(0, true),
  timeout: positiveDurationRule(true),
  name: nameRule,
};

/** At most so many calls at a time, and at most so many waiting. Shared by all calls that it is to limit together. */
export class Bulkhead extends SingleLayer implements Guard<void>, CompositeLayer {
  readonly name: string;
  readonly layers: readonly Layer[];
  /** @internal */
  readonly ignoresDuration = true;
  readonly #maxConcurrentCalls: number;
  readonly #maxQueueSize: number;
  readonly #queueTimeout: number;
  #running = 0;
  #waiting = 0;
  #first: Waiter | undefined;
  #last: Waiter | undefined;

  /** @throws {@link InvalidOptionError} */
  constructor(options: BulkheadOptions = {}) {
    super();
    checkOptions('bulkhead', options, rules);
    this.name = options.name ?? bulkheadDefaults.name;
    this.#maxConcurrentCalls = options.maxConcurrentCalls ?? bulkheadDefaults.maxConcurrentCalls;
    this.#maxQueueSize = options.maxQueueSize ?? bulkheadDefaults.maxQueueSize;
    this.#queueTimeout = options.queueTimeout ?? bulkheadDefaults.queueTimeout;
    const { timeout } = options;
    this.layers =
      timeout === undefined
        ? [this]
        : [this, new Timeout({ duration: timeout, name: `${this.name} timeout` })];
  }

  /** Calls that hold a permit. */
  get running(): number {
    return this.#running;
  }

  /** Calls that wait for a permit. */
  get waiting(): number {
    return this.#waiting;
  }

  enter(call: Call): void | Promise<void> {
    return permitOf(this.tryEnter(call));
  }

  /** @internal */
  tryEnter(call: Call): void | Promise<void> | Refusal {
    if (this.#running < this.#maxConcurrentCalls) {
      this.#running++;
      return undefined;
    }
    if (this.#waiting >= this.#maxQueueSize || this.#queueTimeout === 0) {
      this.#tellRejected(call, 'full');
      return new Refusal(new BulkheadFullError(this.name, this.#running, this.#waiting));
    }
    if (call.aborted) throw call.reason;
    return this.#wait(call);
  }

  leave(): void {
    const next = this.#first;
    // The permit goes from hand to hand, so that no newcomer finds it free while somebody waits.
    if (next === undefined) this.#running--;
    else {
      this.#drop(next);
      next.resolve();
    }
  }

  #wait(call: Call): Promise<void> {
    const since = call.now();
    const waiter = new Waiter(since + this.#queueTimeout, (late) => {
      this.#drop(late);
      this.#tellRejected(call, 'queue-timeout');
      late.reject(new QueueTimeoutError(this.name, this.#queueTimeout));
    });
    this.#append(waiter);
    waiter.forgetAbort = call.onAbort((reason) => {
      this.#drop(waiter);
      this.#tellRejected(call, 'aborted');
      waiter.reject(reason);
    });
    // A deadline of the call that comes first ends the wait by aborting the call.
    if (waiter.deadline < call.deadline) {
      waiter.wheel = deadlinesOf(call.clock);
      waiter.wheel.add(waiter, since);
    }
    if (call.observed) this.#tellQueued(call, waiter, since);
    return waiter.promise;
  }

  #append(waiter: Waiter): void {
    waiter.previous = this.#last;
    if (this.#last === undefined) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
    this.#waiting++;
  }

  /** Takes a waiter out of the queue and off everything that could still end its wait. */
  #drop(waiter: Waiter): void {
    const { previous, next } = waiter;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    this.#waiting--;
    waiter.wheel?.remove(waiter);
    waiter.forgetAbort?.();
  }

  #tellQueued(call: Call, waiter: Waiter, since: number): void {
    call.emit({
      type: 'bulkhead.queued',
      strategy: this.name,
      running: this.#running,
      waiting: this.#waiting,
    });
    waiter.promise.then(
      () =>
        call.emit({
          type: 'bulkhead.dequeued',
          strategy: this.name,
          duration: call.clock.now() - since,
        }),
      () => {},
    );
  }

  #tellRejected(call: Call, reason: 'full' | 'queue-timeout' | 'aborted'): void {
    if (!call.observed) return;
    call.emit({
      type: 'bulkhead.rejected',
      strategy: this.name,
      reason,
      running: this.#running,
      waiting: this.#waiting,
    });
  }
}

/** A call in the queue. */
class Waiter implements DeadlineEntry {
  readonly deadline: number;
  readonly promise: Promise<void>;
  readonly #onExpired: (waiter: Waiter) => void;
  resolve!: () => void;
  reject!: (reason: unknown) => void;
  forgetAbort: (() => void) | undefined;
  wheel: DeadlineWheel | undefined;
  previous: Waiter | undefined;
  next: Waiter | undefined;
  wheelSlot: number = NOT_PENDING;
  wheelPrevious: DeadlineEntry | undefined;
  wheelNext: DeadlineEntry | undefined;

  constructor(deadline: number, onExpired: (waiter: Waiter) => void) {
    this.deadline = deadline;
    this.#onExpired = onExpired;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  expire(): void {
    this.#onExpired(this);
  }
}

/**
 * A bulkhead.
 *
 * @returns A layer; it refuses with {@link BulkheadFullError} (`RESIL_BULKHEAD_FULL`) and {@link QueueTimeoutError} (`RESIL_QUEUE_TIMEOUT`).
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { bulkhead } from '@resil/core';
 *
 * const reports = bulkhead({ maxConcurrentCalls: 2, maxQueueSize: 10 });
 * await reports.execute(async () => `${reports.running} running`);
 * ```
 */
export function bulkhead(options: BulkheadOptions = {}): Bulkhead {
  return new Bulkhead(options);
}
