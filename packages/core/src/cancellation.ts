/**
 * Cancellation: how a caller aborts calls without an `AbortSignal`. Where every call can be cancelled
 * and hardly any is (a client whose calls have a `cancel()` of their own), an `AbortController` for
 * each costs more than a whole pipeline around it. This costs what it is used for: what waits hangs
 * on it, and a signal exists as soon as somebody reads `call.signal`.
 */
import { AbortNode } from './abort-node.js';

/**
 * Aborts the calls that it is given to, as an `AbortController` does through its signal. May be shared by calls; cancelled once, it stays so.
 *
 * @example
 * ```ts
 * import { Cancellation, pipeline, retry } from '@resil/core';
 *
 * const cancellation = new Cancellation();
 * const answer = pipeline(retry()).execute(async () => 'answer', { cancellation });
 * cancellation.cancel(new Error('the user has left'));
 * await answer.catch((error) => console.log(error.message));
 * ```
 */
export class Cancellation {
  /** @internal What hangs on it. */
  readonly node: AbortNode;
  private abort: { readonly reason: unknown } | undefined;

  constructor() {
    this.node = new AbortNode(undefined);
    this.abort = undefined;
  }

  /** Whether it was cancelled. */
  get aborted(): boolean {
    return this.abort !== undefined;
  }

  /** Why it was cancelled; `undefined` if it was not. */
  get reason(): unknown {
    return this.abort?.reason;
  }

  /** The same as an `AbortSignal`; made when it is first read. */
  get signal(): AbortSignal {
    return this.node.signal(this.abort);
  }

  /**
   * Aborts the calls; only the first time counts.
   *
   * @param reason What calls that wait reject with. Default: an `AbortError`, as of an `AbortController`.
   */
  cancel(reason: unknown = AbortSignal.abort().reason): void {
    if (this.abort !== undefined) return;
    this.abort = { reason };
    this.node.tell(reason);
  }
}
