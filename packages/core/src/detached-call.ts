/**
 * Work that goes on without the call that began it: for several callers, or for nobody in particular.
 * It has the name, key, attributes and operation of that call, and nothing of its signal and deadline.
 */
import type { CallState } from './call-state.js';
import { RootCall } from './call-state.js';
import { Cancellation } from './cancellation.js';
import type { Endpoint } from './endpoint.js';

/** The call of such work, and how to end it. */
export interface DetachedCall {
  readonly call: CallState;
  /** Aborts it as its caller would. */
  cancel(reason: unknown): void;
}

/** Stands for the one who called, where the failover further out sent that. */
class DetachedRoot extends RootCall {
  readonly #from: CallState;

  constructor(from: CallState, cancellation: Cancellation, began: () => void) {
    const { host, operation, options } = from.root;
    const bare = { ...options, signal: undefined, deadline: undefined, cancellation };
    super(
      host,
      (call) => {
        began();
        return operation(call);
      },
      bare,
    );
    this.#from = from;
    this.deadline = Infinity;
    this.walkingIn = false;
  }

  override get endpoint(): Endpoint | undefined {
    return this.#from.endpoint;
  }
}

/**
 * A call like `from` for work that is not aborted with it. `began` hears when the operation starts.
 * Whoever makes it closes it when it has settled.
 */
export function detach(from: CallState, began: () => void = () => {}): DetachedCall {
  const cancellation = new Cancellation();
  const root = new DetachedRoot(from, cancellation, began);
  return {
    call: root.within(from.scope).fork(from.attempt),
    cancel: (reason) => cancellation.cancel(reason),
  };
}
