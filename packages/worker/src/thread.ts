/** One thread: runs a task at a time, and tells when it is gone. */
import { types } from 'node:util';
import { type ResourceLimits, type TransferListItem, Worker } from 'node:worker_threads';
import type { ThreadOptions } from './options.js';
import type { ThreadMessage } from './thread-source.js';

/** How a thread is started. */
export interface ThreadSettings {
  readonly source: string;
  readonly name: string;
  readonly resourceLimits: ResourceLimits | undefined;
  readonly threadOptions: ThreadOptions | undefined;
}

/** How a thread ended, if nobody ended it. */
export interface ThreadExit {
  readonly code: number;
  /** The error that ended it, if one did. */
  readonly error: unknown;
}

/** What becomes of a task. */
export type TaskEnd =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: unknown }
  /** The thread went away under it. */
  | { readonly ok: undefined; readonly exit: ThreadExit };

/** A thread of a pool. It keeps the process alive only while it runs a task, or is ending. */
export class Thread {
  /** Fulfilled when the thread is gone. */
  readonly exited: Promise<ThreadExit>;
  /** Whether it has loaded the module. */
  ready = false;
  /** Whether it could not load the module. */
  unusable = false;
  /** Whether it is ending, or gone. */
  ending = false;
  readonly #worker: Worker;
  #lastId = 0;
  #settle: ((end: TaskEnd) => void) | undefined;
  #error: unknown;

  constructor({ source, name, resourceLimits, threadOptions }: ThreadSettings) {
    this.#worker = new Worker(source, {
      ...threadOptions,
      ...(resourceLimits === undefined ? {} : { resourceLimits }),
      name,
      eval: true,
    });
    this.#worker.on('message', (message: ThreadMessage) => this.#heard(message));
    this.#worker.on('messageerror', (error) => this.#end({ ok: false, error }));
    this.#worker.on('error', (error) => {
      this.ending = true;
      this.#error = error;
    });
    this.exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        const exit = { code, error: this.#error };
        this.ending = true;
        this.#end({ ok: undefined, exit });
        resolve(exit);
      });
    });
    // Listening to messages holds the process as well, so this comes after.
    this.#worker.unref();
  }

  /** Runs a task. Its end may be that the thread is gone. */
  run(task: unknown, list: readonly TransferListItem[]): Promise<TaskEnd> {
    return new Promise((resolve) => {
      const id = ++this.#lastId;
      this.#worker.postMessage({ id, task }, list);
      this.#worker.ref();
      this.#settle = resolve;
    });
  }

  /** Ends the thread, whatever it does. Native code that runs is not interrupted: `exited` waits for it. */
  terminate(): void {
    if (this.ending) return;
    this.ending = true;
    this.#worker.ref();
    void this.#worker.terminate();
  }

  #heard(message: ThreadMessage): void {
    // The module may send messages of its own; nobody reads them.
    if (typeof message !== 'object' || message === null) return;
    if (message.id === undefined) this.ready ||= message.ok === true;
    else if (message.id !== this.#lastId) return;
    else if (message.ok) this.#end({ ok: true, value: message.value });
    else {
      this.unusable = message.unusable === true;
      this.#end({ ok: false, error: revived(message) });
    }
  }

  #end(end: TaskEnd): void {
    const settle = this.#settle;
    this.#settle = undefined;
    if (!this.ending) this.#worker.unref();
    settle?.(end);
  }
}

/** An error with what its copy has lost. */
function revived({ error, name, fields }: ThreadMessage): unknown {
  if (!types.isNativeError(error)) return error;
  if (name !== undefined && name !== error.name) {
    Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  }
  return Object.assign(error, fields);
}
