/**
 * How a caller's cancellation reaches a call in a pipeline without an `AbortSignal` for each call,
 * which would cost more than all the rest of the pipeline (15 µs of a unary call's 100). Any call of
 * gRPC can be cancelled, and hardly any is: so the call tells where it waits, and is told there.
 *
 * The call's own `signal` comes into being with the abort. What waits was there before and hangs on
 * the nodes that the core makes for those who wait.
 */
import type { Call, Guard } from '@resil/core';

/** A call that wants to know where it waits. */
export interface Cancellable {
  /** From now on the call may wait as `call`. */
  waitsAs(call: Call): void;
}

/** Stands where the calls of a pipeline become others (under a timeout), outside of all that waits. Shared by all calls. */
export class CancellationPoint implements Guard<undefined> {
  readonly name = 'cancellation';
  /** Asks for no measuring of time. */
  readonly ignoresDuration = true;

  enter(call: Call): undefined {
    (call.attributes.grpc as unknown as Cancellable).waitsAs(call);
  }

  leave(): void {}
}

/** Ends whatever `call` waits for. Its options must say by now that it was aborted. */
export function endWaiting(call: Call, reason: unknown): void {
  (call as unknown as { aborts(): { tell(reason: unknown): void } }).aborts().tell(reason);
}
