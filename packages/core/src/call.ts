/**
 * A call: one `execute` from the caller's view, or one part of it (an attempt, the work under a
 * timeout) with a deadline, a signal and an attempt number of its own.
 */
import type { Cancellation } from './cancellation.js';
import type { Clock } from './clock.js';
import type { Endpoint } from './endpoint.js';
import type { ResilienceEventInput } from './events.js';

/**
 * What adapters add to a call for their own layers and `classify`: a typed, open record.
 * Adapters augment it: `declare module '@resil/core' { interface CallAttributes { http?: … } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: augmented by adapters
export interface CallAttributes {}

/** What a caller may say about one call. */
export interface CallOptions {
  /** Aborts the call: a waiting call settles at once with the signal's reason, a running one is told through `call.signal`. */
  readonly signal?: AbortSignal | undefined;
  /** Does the same as `signal`, beside it or alone, and costs less where each call has one of its own. */
  readonly cancellation?: Cancellation | undefined;
  /** Groups the call: budgets, events and `keyed` go by it. */
  readonly key?: string | undefined;
  /** Name of the operation, for events. */
  readonly name?: string | undefined;
  /** When the call must have settled, on the clock's scale (`performance.now()`). Default: no deadline (`Infinity`). */
  readonly deadline?: number | undefined;
  /** Importance, higher first; read by layers that choose between calls. Default: 0. */
  readonly priority?: number | undefined;
  /** Whether running the operation twice does no harm. Default: not known. */
  readonly idempotent?: boolean | undefined;
  /** What adapters add. */
  readonly attributes?: CallAttributes | undefined;
}

/** What a strategy may give the calls that it derives. */
export interface DeriveOptions {
  /** Number of the attempt, counting from 1. Default: that of the parent. */
  readonly attempt?: number;
}

/**
 * One call, as strategies, guards and the operation see it. Valid while the call lasts; it must not
 * be shared between calls.
 */
export interface Call {
  /**
   * Aborted when the caller aborts or a timeout expires, with the reason. Created only when read.
   * Not aborted after the call settled: a stream that it returned lives on.
   */
  readonly signal: AbortSignal;
  /** Whether the call was aborted; cheaper than `signal.aborted`. */
  readonly aborted: boolean;
  /** Why the call was aborted; `undefined` if it was not. */
  readonly reason: unknown;
  /** Whether the abort came from the caller (its `signal` or `cancellation`), not from one of our layers. */
  readonly cancelled: boolean;
  /** Whether the operation has been started for this call. */
  readonly started: boolean;
  /**
   * Says that the dependency is being called. The engine says so when it starts the operation; a
   * strategy that does the work itself, without `next`, says it here, so that its failures count.
   */
  begin(): void;
  /** Number of the attempt, counting from 1. */
  readonly attempt: number;
  /** When the call must have settled, on the clock's scale; `Infinity` if it need not. */
  readonly deadline: number;
  /** Milliseconds left until `deadline`, at least 0; `Infinity` without one. */
  remaining(): number;
  /** Now, on the clock's scale. */
  now(): number;
  readonly clock: Clock;
  readonly name: string | undefined;
  readonly key: string | undefined;
  readonly priority: number;
  readonly idempotent: boolean | undefined;
  readonly attributes: CallAttributes;
  /** Where the innermost failover around it sends this call; `undefined` without one. */
  readonly endpoint: Endpoint | undefined;
  /** The call that this one was derived from. */
  readonly parent: Call | undefined;
  /** Calls `listener` once when the call is aborted (at once if it was already); the result takes it off again. */
  onAbort(listener: (reason: unknown) => void): () => void;
  /** A call for work that runs again or elsewhere: aborting this one aborts it. */
  derive(options?: DeriveOptions): Call;
  /** Whether anybody listens to events; building one can be skipped otherwise. */
  readonly observed: boolean;
  /** Emits an event in the name of this call's pipeline. */
  emit(event: ResilienceEventInput): void;
}
