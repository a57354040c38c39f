/**
 * The guard before the threads: a bulkhead with a permit for each thread. A permit whose thread was
 * ended goes back when that thread is gone, not when the caller was freed: otherwise tasks that cannot
 * be interrupted would pile up beside each other.
 */
import {
  type Bulkhead,
  type Call,
  type Guard,
  jsonRecord,
  type LayerDescription,
  pipeline,
} from '@resil/core';
import { WorkerPoolClosedError } from './errors.js';
import type { CheckedOptions } from './options.js';
import type { Thread } from './thread.js';
import type { Threads } from './threads.js';

/** The right to use one thread. */
export interface ThreadPermit {
  /** Whether a task is running under it. */
  busy: boolean;
  /** The thread that was ended under it last. */
  ending: Thread | undefined;
}

/** The layer that stands for the pool in a pipeline. */
export class ThreadPermits implements Guard<ThreadPermit> {
  readonly name: string;
  /** @internal */
  readonly ignoresDuration = true;
  readonly #bulkhead: Bulkhead;
  readonly #options: CheckedOptions;
  readonly #threads: Threads;
  readonly #ofCalls = new WeakMap<Call, ThreadPermit>();
  #state: 'open' | 'draining' | 'closed' = 'open';
  #refused = 0;
  #drained: (() => void) | undefined;

  constructor(bulkhead: Bulkhead, options: CheckedOptions, threads: Threads) {
    this.name = options.name;
    this.#bulkhead = bulkhead;
    this.#options = options;
    this.#threads = threads;
  }

  get running(): number {
    return this.#bulkhead.running;
  }

  get waiting(): number {
    return this.#bulkhead.waiting;
  }

  describe(): LayerDescription {
    const { clock: _, threadOptions: __, ...options } = this.#options;
    const { counters } = this.#bulkhead.describe();
    return {
      type: 'workerPool',
      name: this.name,
      options: jsonRecord({ ...options, name: undefined }),
      state: {
        state: this.#state,
        running: this.running,
        waiting: this.waiting,
        ...this.#threads.state,
      },
      counters: {
        admitted: counters.admitted ?? 0,
        queued: counters.queued ?? 0,
        rejected: (counters.rejected ?? 0) + this.#refused,
        queueTimeouts: counters.queueTimeouts ?? 0,
        aborted: counters.aborted ?? 0,
        ...this.#threads.counters,
      },
    };
  }

  enter(call: Call): ThreadPermit | Promise<ThreadPermit> {
    if (this.#state !== 'open') throw this.#refusal(call);
    const waiting = this.#bulkhead.enter(call);
    return waiting === undefined ? this.#grant(call) : waiting.then(() => this.#granted(call));
  }

  leave(permit: ThreadPermit): void {
    const { ending } = permit;
    if (ending === undefined || this.#state === 'closed') this.#giveBack();
    else void ending.exited.then(() => this.#giveBack());
  }

  /** The permit that a call, or one that it comes from, holds and does not use at this moment. */
  freeOf(call: Call): ThreadPermit | undefined {
    for (let at: Call | undefined = call; at !== undefined; at = at.parent) {
      const permit = this.#ofCalls.get(at);
      if (permit !== undefined) return permit.busy ? undefined : permit;
    }
    return undefined;
  }

  /** As a layer of a pipeline that is drained: sends away who waits, and lets nobody wait any more. */
  drain(): void {
    pipeline(this.#bulkhead).drain();
  }

  /** Lets nobody in any more. Fulfilled when nobody runs or waits. */
  finish(): Promise<void> {
    this.#state = 'draining';
    if (this.running === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  /** Sends those away who wait, as soon as their turn comes, which is now. */
  close(): void {
    this.#state = 'closed';
  }

  #grant(call: Call): ThreadPermit {
    const permit: ThreadPermit = { busy: false, ending: undefined };
    this.#ofCalls.set(call, permit);
    return permit;
  }

  /** Its turn has come after a wait. */
  #granted(call: Call): ThreadPermit {
    if (this.#state !== 'closed') return this.#grant(call);
    this.#giveBack();
    throw this.#refusal(call);
  }

  #giveBack(): void {
    this.#bulkhead.leave();
    if (this.running === 0) this.#drained?.();
  }

  #refusal(call: Call): WorkerPoolClosedError {
    this.#refused++;
    if (call.observed) {
      const { name: strategy, running, waiting } = this;
      call.emit({ type: 'bulkhead.rejected', strategy, reason: 'draining', running, waiting });
    }
    return new WorkerPoolClosedError(this.name, true);
  }
}
