/**
 * Work that goes on without the call that began it: for several callers, or for nobody in particular.
 * It has the name, key, attributes and operation of that call, and nothing of its signal and deadline.
 * Where it was sent, whether it is repeated and what it costs a budget count for that call.
 */
import type { AttemptBudget } from './attempt-budget.js';
import type { CallState, Trail } from './call-state.js';
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
    // By name: an adapter's options may be getters of a class, which no spread sees.
    const { key, name, attributes, priority, idempotent } = options ?? {};
    super(
      host,
      (call) => {
        began();
        return operation(call);
      },
      { key, name, attributes, priority, idempotent, cancellation },
    );
    this.#from = from;
    this.deadline = Infinity;
    this.walkingIn = false;
  }

  override get endpoint(): Endpoint | undefined {
    return this.#from.endpoint;
  }

  override get repeated(): boolean {
    return this.#from.root.repeated;
  }
  override set repeated(repeated: boolean) {
    this.#from.root.repeated = repeated;
  }

  override get trail(): Trail | undefined {
    return this.#from.root.trail;
  }
  override set trail(trail: Trail | undefined) {
    this.#from.root.trail = trail;
  }

  override deposit(budget: AttemptBudget, now: number): boolean {
    return this.#from.root.deposit(budget, now);
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
