/** What a pool of threads adds to the errors of the core. */
import { ResilienceError } from '@resil/core';

/**
 * The thread that ran the task ended before it had a result: `process.exit`, an error that nobody
 * caught, its heap used up. Code `RESIL_WORKER_CRASHED`; `cause` is the error that ended it, if one did.
 */
export class WorkerCrashedError extends ResilienceError {
  /** Exit code of the thread. */
  readonly exitCode: number;

  constructor(strategy: string, exitCode: number, cause: unknown) {
    super(
      'RESIL_WORKER_CRASHED',
      `a thread of '${strategy}' ended with code ${exitCode} while it worked`,
      { strategy, cause },
    );
    this.exitCode = exitCode;
  }
}

/**
 * The pool was closed. Code `RESIL_WORKER_POOL_CLOSED`. It is a refusal if the task did not run;
 * otherwise its thread was ended at the deadline of `close`.
 */
export class WorkerPoolClosedError extends ResilienceError {
  constructor(strategy: string, refusal: boolean) {
    super(
      'RESIL_WORKER_POOL_CLOSED',
      refusal
        ? `worker pool '${strategy}' is closed and takes no more tasks`
        : `worker pool '${strategy}' was closed before the task had ended`,
      { strategy, refusal },
    );
  }
}
