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
import { jsonRecord, type LayerDescription } from './description.js';
import { BulkheadFullError, QueueTimeoutError } from './errors.js';
import { type GuardMode, markOf, modeRule, type ObservedMark } from './guard-mode.js';
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
  /**
   * With `'observe'` it only tells what it would have refused or made wait, and lets every call run at
   * once: `running` may exceed `maxConcurrentCalls`, and so many calls as may wait count as waiting
   * before the rest count as refused.
   *
   * @defaultValue `bulkheadDefaults.mode` (`'enforce'`)
   */
  readonly mode?: GuardMode | undefined;
  /** Name in errors and events. @defaultValue `'bulkhead'` */
  readonly name?: string | undefined;
}

/** Defaults of {@link bulkhead}. */
export const bulkheadDefaults: {
  readonly maxConcurrentCalls: number;
  readonly maxQueueSize: number;
  readonly queueTimeout: number;
  readonly mode: 'enforce';
  readonly name: string;
} = Object.freeze({
  maxConcurrentCalls: 10,
  maxQueueSize: 0,
  queueTimeout: 1_000,
  mode: 'enforce',
  name: 'bulkhead',
});

const rules: OptionRules<BulkheadOptions> = {
  maxConcurrentCalls: countRule(1, true),
  maxQueueSize: countRule(0),
  queueTimeout: durationRule(0, true),
  timeout: positiveDurationRule(true),
  mode: modeRule,
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
  readonly #timeout: number | undefined;
  readonly #mode: GuardMode;
  readonly #mark: ObservedMark;
  readonly #counters = {
    admitted: 0,
    queued: 0,
    rejected: 0,
    queueTimeouts: 0,
    aborted: 0,
    observed: 0,
  };
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
    this.#mode = options.mode ?? bulkheadDefaults.mode;
    this.#mark = markOf(this.#mode);
    const { timeout } = options;
    this.#timeout = timeout;
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

  describe(): LayerDescription {
    return {
      type: 'bulkhead',
      name: this.name,
      options: jsonRecord({
        maxConcurrentCalls: this.#maxConcurrentCalls,
        maxQueueSize: this.#maxQueueSize,
        queueTimeout: this.#queueTimeout,
        timeout: this.#timeout,
        mode: this.#mode,
      }),
      state: { running: this.#running, waiting: this.#waiting },
      counters: { ...this.#counters },
    };
  }

  enter(call: Call): void | Promise<void> {
    return permitOf(this.tryEnter(call));
  }

  /** @internal */
  tryEnter(call: Call): void | Promise<void> | Refusal {
    if (this.#running < this.#maxConcurrentCalls) {
      this.#admit();
      return undefined;
    }
    if (this.#mode === 'observe') return this.#observe(call);
    if (this.#waiting >= this.#maxQueueSize || this.#queueTimeout === 0) {
      this.#counters.rejected++;
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
      this.#counters.admitted++;
      next.resolve();
    }
  }

  #admit(): void {
    this.#running++;
    this.#counters.admitted++;
  }

  /** Lets a call in that would have waited or been refused; the calls above the limit stand for the queue. */
  #observe(call: Call): void {
    const waiting = this.#running - this.#maxConcurrentCalls;
    const full = waiting >= this.#maxQueueSize || this.#queueTimeout === 0;
    this.#admit();
    if (full) this.#counters.observed++;
    else this.#counters.queued++;
    if (!call.observed) return;
    const shown = { running: this.#maxConcurrentCalls, waiting: full ? waiting : waiting + 1 };
    const told = { strategy: this.name, ...shown, ...this.#mark };
    if (full) call.emit({ type: 'bulkhead.rejected', reason: 'full', ...told });
    else call.emit({ type: 'bulkhead.queued', ...told });
  }

  #wait(call: Call): Promise<void> {
    const since = call.now();
    this.#counters.queued++;
    const waiter = new Waiter(since + this.#queueTimeout, (late) => {
      this.#drop(late);
      this.#counters.queueTimeouts++;
      this.#tellRejected(call, 'queue-timeout');
      late.reject(new QueueTimeoutError(this.name, this.#queueTimeout));
    });
    this.#append(waiter);
    waiter.forgetAbort = call.onAbort((reason) => {
      this.#drop(waiter);
      this.#counters.aborted++;
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
