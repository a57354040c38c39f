/**
 * How a call ended, and what that means. Meaning is asked in one place: `classify` turns an outcome
 * into a verdict, and every layer that cares (breaker, retry, fallback) goes by the verdict.
 */
import type { Call } from './call.js';

/** A call that gave a value. */
export interface SuccessOutcome<T = unknown> {
  readonly ok: true;
  readonly value: T;
  /** Milliseconds from the start of the guarded work to its end, waiting in queues not included. */
  readonly duration: number;
}

/** A call that threw, rejected, was refused or was cut short. */
export interface FailureOutcome {
  readonly ok: false;
  readonly error: unknown;
  /** Milliseconds from the start of the guarded work to its end, waiting in queues not included. */
  readonly duration: number;
}

/** How a call ended. */
export type Outcome<T = unknown> = SuccessOutcome<T> | FailureOutcome;

/** An outcome as an adapter hands it in; the duration is measured here when it is left out. */
export type SettledOutcome<T = unknown> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: unknown };

/**
 * Whose outcome it is: `success` and `failure` are the dependency's; an `ignored` outcome says
 * nothing about the dependency and gives a permit or a probe's place back.
 */
export type VerdictKind = 'success' | 'failure' | 'ignored';

/** What an outcome means. */
export interface Verdict {
  readonly kind: VerdictKind;
  /** Whether running the work again is safe and may help. */
  readonly repeat: boolean;
  /** Milliseconds that the dependency asked us to wait before trying again. */
  readonly retryAfter?: number;
  /**
   * Frees what the outcome holds on to (a body that nobody will read). Called by a layer that drops
   * the outcome for good: a retry that goes on, a fallback that answers in its place.
   */
  readonly discard?: () => void;
}

/**
 * Tells what an outcome means. Giving just a kind is enough: a `failure` may then be repeated, the
 * other kinds not. Must be synchronous; if it throws, the error is reported and the default applies
 * (a value is a success, an error is a failure). Asked about one of our timeouts, a bare kind other
 * than `failure` counts as `failure`; a full verdict stands.
 */
export type Classify = (outcome: Outcome, call: Call) => Verdict | VerdictKind;
