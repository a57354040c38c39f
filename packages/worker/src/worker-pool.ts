/**
 * A bulkhead of worker threads: CPU work runs beside the main thread, on so many threads at most, and so
 * many tasks wait at most. A task that takes too long, or whose call is aborted, is ended with its
 * thread, even in an endless loop; the next task gets a new one.
 *
 * The pool is a layer of two parts, the permits (a bulkhead) and the timeout, and an operation that runs
 * a task on a thread. The threads are Node's own: pools from npm (piscina 5.3 was tried) give the place
 * of a thread away before it is gone, wait for ever for one that cannot start, and lose `error.code`.
 */
import type { TransferListItem } from 'node:worker_threads';
import {
  bulkhead,
  type Call,
  type CallOptions,
  type CompositeLayer,
  checkOptions,
  type Layer,
  type LayerDescription,
  numberRule,
  Pipeline,
  type ResilienceListener,
  systemClock,
  timeout,
} from '@resil/core';
import { checkedOptions, moduleUrl, type Task, type WorkerPoolOptions } from './options.js';
import { ThreadPermits } from './thread-permits.js';
import { threadSource } from './thread-source.js';
import { Threads } from './threads.js';

/** What may be said about one task. */
export interface TaskOptions {
  /**
   * What of the task is handed over to the thread instead of being copied, such as an `ArrayBuffer`. It
   * is gone from this thread when the task begins: a task that is repeated has to be made anew.
   */
  readonly transfer?: readonly TransferListItem[] | undefined;
}

/** Options of {@link WorkerPool.run}. */
export interface WorkerRunOptions extends CallOptions, TaskOptions {}

/** Options of {@link WorkerPool.close}. */
export interface CloseOptions {
  /**
   * When tasks that still run or wait are given up, on the clock's scale (`performance.now()`). A time
   * that has passed gives them up at once. Default: never (`Infinity`).
   */
  readonly deadline?: number | undefined;
}

/**
 * A pool of threads for the tasks of one function. An instance is shared by all calls; in a pipeline it
 * stands for its permits and its timeout.
 */
export class WorkerPool<Work extends Task = Task> implements CompositeLayer {
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly #permits: ThreadPermits;
  readonly #threads: Threads;
  readonly #pipeline: Pipeline;
  #closing: Promise<void> | undefined;

  /** @throws {@link InvalidOptionError} */
  constructor(filename: string | URL, options: WorkerPoolOptions = {}) {
    const module = moduleUrl(filename);
    const checked = checkedOptions(options);
    const { name, maxThreads, maxQueueSize, queueTimeout, clock } = checked;
    this.name = name;
    this.#threads = new Threads(
      checked,
      threadSource(module, checked.exportName),
      clock ?? systemClock,
      // Told when there is somebody to tell: threads are started here already.
      (event) => queueMicrotask(() => this.#pipeline.emit(event)),
    );
    this.#permits = new ThreadPermits(
      bulkhead({ name, maxConcurrentCalls: maxThreads, maxQueueSize, queueTimeout }),
      checked,
      this.#threads,
    );
    this.layers =
      checked.timeout === Infinity
        ? [this.#permits]
        : [this.#permits, timeout({ duration: checked.timeout, name: `${name} timeout` })];
    this.#pipeline = new Pipeline({ name, clock }, [this]);
  }

  /** Tasks that have a thread, or whose thread is still ending. */
  get running(): number {
    return this.#permits.running;
  }

  /** Tasks that wait for a thread. */
  get waiting(): number {
    return this.#permits.waiting;
  }

  /** Threads that there are, those included that are ending. */
  get threads(): number {
    return this.#threads.size;
  }

  /** Runs a task on a thread of the pool. */
  run(
    task: Parameters<Work>[0],
    options: WorkerRunOptions = {},
  ): Promise<Awaited<ReturnType<Work>>> {
    const { transfer, ...callOptions } = options;
    return this.#pipeline.execute(this.task(task, { transfer }), callOptions);
  }

  /**
   * The operation that runs a task, for `execute` of a pipeline. Where the pool is a layer of that
   * pipeline, the task uses its permit; otherwise it goes through the pool by itself.
   */
  task(
    task: Parameters<Work>[0],
    { transfer = [] }: TaskOptions = {},
  ): (call: Call) => Promise<Awaited<ReturnType<Work>>> {
    return (call) => this.#perform(task, transfer, call) as Promise<Awaited<ReturnType<Work>>>;
  }

  /** Hears the tasks that `run` starts, and what becomes of the threads. */
  on(listener: ResilienceListener): () => void {
    return this.#pipeline.on(listener);
  }

  /** Options, live state and counters as JSON. */
  describe(): LayerDescription {
    return this.#permits.describe();
  }

  /**
   * Takes no more tasks, waits for those that run or wait, and ends the threads. Fulfilled when the
   * threads are gone. Called again, it can only bring the deadline forward.
   */
  close(options: CloseOptions = {}): Promise<void> {
    checkOptions('workerPool.close', options, closeRules);
    const { deadline = Infinity } = options;
    this.#closing ??= this.#permits.finish().then(() => this.#endThreads());
    const { clock } = this.#pipeline;
    if (deadline <= clock.now()) void this.#endThreads();
    else if (deadline < Infinity) {
      const forget = clock.schedule(() => void this.#endThreads(), deadline - clock.now());
      void this.#closing.then(forget);
    }
    return this.#closing;
  }

  #endThreads(): Promise<void> {
    this.#permits.close();
    return this.#threads.close();
  }

  async #perform(
    task: unknown,
    transfer: readonly TransferListItem[],
    call: Call,
  ): Promise<unknown> {
    const permit = this.#permits.freeOf(call);
    if (permit === undefined) return this.#apart(task, transfer, call);
    permit.busy = true;
    try {
      return await this.#threads.run(task, transfer, call, permit);
    } finally {
      permit.busy = false;
    }
  }

  /** The call holds no permit that is free: it goes through the pool as a call of its own. */
  #apart(task: unknown, transfer: readonly TransferListItem[], call: Call): Promise<unknown> {
    const { signal, name, key, priority, idempotent, attributes } = call;
    const deadline = call.clock === this.#pipeline.clock ? call.deadline : Infinity;
    return this.#pipeline.execute((own) => this.#perform(task, transfer, own), {
      ...{ signal, name, key, deadline, priority, idempotent, attributes },
    });
  }
}

const closeRules = { deadline: { ...numberRule(-Infinity), text: 'a number' } };

/**
 * A pool of worker threads for the tasks of one function.
 *
 * @param filename The module whose function runs the tasks: an absolute path or a `file:` URL.
 * @returns A layer, and by `run` and `task` the way to its threads; it refuses with {@link BulkheadFullError}
 * (`RESIL_BULKHEAD_FULL`), {@link QueueTimeoutError} (`RESIL_QUEUE_TIMEOUT`) and
 * {@link WorkerPoolClosedError} (`RESIL_WORKER_POOL_CLOSED`), and rejects with {@link TimeoutError}
 * (`RESIL_TIMEOUT`) and {@link WorkerCrashedError} (`RESIL_WORKER_CRASHED`).
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { workerPool } from '@resil/worker';
 *
 * const module = 'data:text/javascript,export default (n) => n * n';
 * const squares = workerPool<(n: number) => number>(new URL(module), { maxThreads: 2 });
 * console.log(await squares.run(7));
 * await squares.close();
 * ```
 */
export function workerPool<Work extends Task = Task>(
  filename: string | URL,
  options: WorkerPoolOptions = {},
): WorkerPool<Work> {
  return new WorkerPool<Work>(filename, options);
}
