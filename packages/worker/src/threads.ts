/**
 * The threads of a pool: started when they are needed, kept for a while when they have nothing to do.
 * There are never more than `maxThreads`, those included that are still ending: native code cannot be
 * interrupted, and a thread that runs it lives on after it was ended.
 */
import type { TransferListItem } from 'node:worker_threads';
import {
  type Call,
  type Clock,
  isResilienceError,
  report,
  type WorkerEndReason,
  type WorkerEvent,
} from '@resil/core';
import { WorkerCrashedError, WorkerPoolClosedError } from './errors.js';
import type { CheckedOptions } from './options.js';
import { type TaskEnd, Thread, type ThreadSettings } from './thread.js';
import type { ThreadPermit } from './thread-permits.js';

/** A task that runs. */
interface Running {
  /** Rejects the task's promise, and ends its thread. */
  readonly stop: (reason: WorkerEndReason, error: unknown) => void;
}

export class Threads {
  readonly #options: CheckedOptions;
  readonly #settings: ThreadSettings;
  readonly #clock: Clock;
  readonly #tell: (event: WorkerEvent) => void;
  readonly #all = new Set<Thread>();
  /** Those with nothing to do, the one that was used last at the end, each with what ends its time. */
  readonly #idle = new Map<Thread, () => void>();
  readonly #running = new Set<Running>();
  /** Those who wait until a thread has nothing to do, or is gone. */
  readonly #wanted: (() => void)[] = [];
  readonly #endReasons = new WeakMap<Thread, WorkerEndReason>();
  readonly #counters = { threadsStarted: 0, threadsEnded: 0, crashes: 0 };
  #closed = false;

  constructor(
    options: CheckedOptions,
    source: string,
    clock: Clock,
    tell: (event: WorkerEvent) => void,
  ) {
    const { name, resourceLimits, threadOptions } = options;
    this.#options = options;
    this.#settings = { source, name, resourceLimits, threadOptions };
    this.#clock = clock;
    this.#tell = tell;
    this.#startMinimum();
  }

  /** Threads that there are, those included that are ending. */
  get size(): number {
    return this.#all.size;
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  get state(): { readonly threads: number; readonly idle: number; readonly ending: number } {
    const { size } = this.#all;
    return { threads: size, idle: this.#idle.size, ending: size - this.#lasting };
  }

  /** Threads that are not ending. */
  get #lasting(): number {
    return [...this.#all].filter((thread) => !thread.ending).length;
  }

  /** Runs a task under a permit. Rejects at once when its call is aborted, and ends its thread. */
  run(
    task: unknown,
    list: readonly TransferListItem[],
    call: Call,
    permit: ThreadPermit,
  ): Promise<unknown> {
    if (call.aborted) return Promise.reject(call.reason);
    return new Promise((resolve, reject) => {
      let settled = false;
      let thread: Thread | undefined;
      const settle = (): boolean => {
        if (settled) return false;
        settled = true;
        this.#running.delete(running);
        forgetAbort();
        return true;
      };
      const stop = (reason: WorkerEndReason, error: unknown): void => {
        if (!settle()) return;
        if (thread !== undefined) {
          permit.ending = thread;
          this.#terminate(thread, reason);
        }
        reject(error);
      };
      const running: Running = { stop };
      this.#running.add(running);
      const forgetAbort = call.onAbort((reason) =>
        stop(isTimeout(reason) ? 'timeout' : 'aborted', reason),
      );
      const begin = (free: Thread): void => {
        if (settled) {
          this.#keep(free);
          return;
        }
        thread = free;
        free.run(task, list).then(
          (end) => {
            if (!settle()) return;
            this.#release(free);
            if (end.ok === true) resolve(end.value);
            else reject(this.#errorOf(end));
          },
          (error) => {
            // The task could not be sent; the thread has not heard of it.
            if (!settle()) return;
            this.#keep(free);
            reject(error);
          },
        );
      };
      const failed = (error: unknown): void => {
        if (settle()) reject(error);
      };
      try {
        const free = this.#take();
        if (free instanceof Thread) begin(free);
        else free.then(begin).catch(failed);
      } catch (error) {
        failed(error);
      }
    });
  }

  /** Ends all threads; tasks that still run reject. Fulfilled when the threads are gone. */
  async close(): Promise<void> {
    this.#closed = true;
    const error = new WorkerPoolClosedError(this.#options.name, false);
    for (const { stop } of [...this.#running]) stop('closed', error);
    const threads = [...this.#all];
    for (const thread of threads) this.#terminate(thread, 'closed');
    await Promise.all(threads.map((thread) => thread.exited));
  }

  /** A thread with nothing to do, or a new one; a promise only while there are as many as there may be. */
  #take(): Thread | Promise<Thread> {
    const free = [...this.#idle.keys()].findLast((thread) => !thread.ending);
    if (free !== undefined) {
      this.#idle.get(free)?.();
      this.#idle.delete(free);
      return free;
    }
    if (this.#all.size < this.#options.maxThreads) return this.#start();
    return new Promise<void>((resolve) => this.#wanted.push(resolve)).then(() => this.#take());
  }

  #start(): Thread {
    if (this.#closed) throw new WorkerPoolClosedError(this.#options.name, true);
    const thread = new Thread(this.#settings);
    const { name } = this.#options;
    this.#all.add(thread);
    this.#counters.threadsStarted++;
    this.#tell({ type: 'worker.started', strategy: name, threads: this.#all.size });
    void thread.exited.then(({ code, error }) => {
      this.#all.delete(thread);
      this.#idle.get(thread)?.();
      this.#idle.delete(thread);
      this.#counters.threadsEnded++;
      const reason = this.#endReasons.get(thread) ?? 'crashed';
      if (reason === 'crashed') this.#counters.crashes++;
      const told = { strategy: name, reason, threads: this.#all.size, exitCode: code };
      this.#tell({ type: 'worker.ended', ...told, ...(error === undefined ? {} : { error }) });
      // What fails before it has loaded would fail again, and again.
      if (thread.ready) this.#startMinimum();
      this.#wanted.shift()?.();
    });
    return thread;
  }

  #startMinimum(): void {
    if (this.#closed) return;
    const { minThreads, maxThreads } = this.#options;
    try {
      while (this.#lasting < minThreads && this.#all.size < maxThreads) this.#keep(this.#start());
    } catch (error) {
      if (this.#counters.threadsEnded === 0) throw error;
      report(error, `a thread of '${this.#options.name}'`);
    }
  }

  /** A thread has ended its task. */
  #release(thread: Thread): void {
    if (thread.unusable) this.#terminate(thread, 'load-failed');
    else if (this.#closed) this.#terminate(thread, 'closed');
    else this.#keep(thread);
  }

  #keep(thread: Thread): void {
    if (thread.ending) return;
    const { idleTimeout } = this.#options;
    const end = (): void => {
      if (this.#lasting <= this.#options.minThreads) return;
      this.#idle.delete(thread);
      this.#terminate(thread, 'idle');
    };
    const forget =
      idleTimeout === Infinity ? () => {} : this.#clock.schedule(end, idleTimeout, true);
    this.#idle.set(thread, forget);
    this.#wanted.shift()?.();
  }

  #terminate(thread: Thread, reason: WorkerEndReason): void {
    if (thread.ending) return;
    this.#endReasons.set(thread, reason);
    thread.terminate();
  }

  #errorOf(end: Exclude<TaskEnd, { readonly ok: true }>): unknown {
    if (end.ok === false) return end.error;
    return new WorkerCrashedError(this.#options.name, end.exit.code, end.exit.error);
  }
}

function isTimeout(reason: unknown): boolean {
  return isResilienceError(reason) && reason.code === 'RESIL_TIMEOUT';
}
