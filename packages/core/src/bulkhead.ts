/**
 * Bulkhead: at most so many calls at a time, and at most so many waiting.
 *
 * Calls wait first come, first served (wait-queue.ts). A permit that becomes free is handed to the one
 * who waits longest; a newcomer cannot take it. A waiter leaves at once when its signal aborts, its
 * deadline passes, or `queueTimeout` is over.
 */
import type { Call } from './call.js';
import { jsonRecord, type LayerDescription } from './description.js';
import { BulkheadFullError, DrainingError, QueueTimeoutError } from './errors.js';
import type { BulkheadRejection } from './events.js';
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
import { type Waiter, WaitQueue } from './wait-queue.js';

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
  readonly #queue: WaitQueue<void>;
  #running = 0;

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
    this.#queue = new WaitQueue({
      expired: ({ call }) => {
        this.#counters.queueTimeouts++;
        this.#tellRejected(call, 'queue-timeout');
        return new QueueTimeoutError(this.name, this.#queueTimeout);
      },
      aborted: ({ call }) => {
        this.#counters.aborted++;
        this.#tellRejected(call, 'aborted');
      },
      drained: ({ call }) => this.#rejectDraining(call),
    });
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
    return this.#queue.size;
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
      state: { running: this.#running, waiting: this.waiting },
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
    if (this.#queue.closed) return new Refusal(this.#rejectDraining(call));
    if (this.waiting >= this.#maxQueueSize || this.#queueTimeout === 0) {
      this.#counters.rejected++;
      this.#tellRejected(call, 'full');
      return new Refusal(new BulkheadFullError(this.name, this.#running, this.waiting));
    }
    if (call.aborted) throw call.reason;
    return this.#wait(call);
  }

  leave(): void {
    const { first } = this.#queue;
    // The permit goes from hand to hand, so that no newcomer finds it free while somebody waits.
    if (first === undefined) this.#running--;
    else {
      this.#counters.admitted++;
      this.#queue.grant(first, undefined);
    }
  }

  /** @internal */
  drain(): void {
    this.#queue.close();
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
    this.#counters.queued++;
    const waiter = this.#queue.add(call, call.now(), this.#queueTimeout);
    if (call.observed) this.#tellQueued(waiter);
    return waiter.promise;
  }

  #tellQueued({ call, promise, since }: Waiter<void>): void {
    call.emit({
      type: 'bulkhead.queued',
      strategy: this.name,
      running: this.#running,
      waiting: this.waiting,
    });
    promise.then(
      () =>
        call.emit({
          type: 'bulkhead.dequeued',
          strategy: this.name,
          duration: call.clock.now() - since,
        }),
      () => {},
    );
  }

  #rejectDraining(call: Call): Error {
    this.#counters.rejected++;
    this.#tellRejected(call, 'draining');
    return new DrainingError(this.name);
  }

  #tellRejected(call: Call, reason: BulkheadRejection): void {
    if (!call.observed) return;
    call.emit({
      type: 'bulkhead.rejected',
      strategy: this.name,
      reason,
      running: this.#running,
      waiting: this.waiting,
    });
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
