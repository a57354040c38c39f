/** How the calls of a pipeline ended, in plain numbers. */
import type { RootCall } from './call-state.js';
import { isRefusal } from './errors.js';

/** Counts the calls of one pipeline. */
export class CallTally {
  started = 0;
  succeeded = 0;
  failed = 0;
  rejected = 0;
  aborted = 0;

  /** As a handler of a promise: counts, and passes the value on. */
  readonly passed = <T>(value: T): T => {
    this.succeeded++;
    return value;
  };

  succeed(): void {
    this.succeeded++;
  }

  /** The call rejected with `error`. */
  fail(call: RootCall, error: unknown): void {
    this[failureOf(call, error)]++;
  }

  /** Counts how `result`, which is what the caller gets, ends. */
  watch<T>(call: RootCall, result: Promise<T>): Promise<T> {
    // Shared handlers, because a function for each call costs more than all else that is counted.
    if (call.cancellable) result.then(this.passed, (error) => this.fail(call, error));
    else result.then(this.passed, this.#failed);
    return result;
  }

  /** As a handler of a promise whose caller cannot abort. */
  readonly #failed = (error: unknown): void => {
    this[isRefusal(error) ? 'rejected' : 'failed']++;
  };
}

/** Whose doing it was that a call rejected: the caller's, a layer's that did not run it, or what it called. */
export function failureOf(call: RootCall, error: unknown): 'aborted' | 'rejected' | 'failed' {
  if (call.cancelled) return 'aborted';
  return isRefusal(error) ? 'rejected' : 'failed';
}
