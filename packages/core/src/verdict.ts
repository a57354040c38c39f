/** The rules that hold whatever `classify` says, and the default for when there is none. */
import type { Call } from './call.js';
import type { CallState } from './call-state.js';
import { report } from './emitter.js';
import { isRefusal, isResilienceError, isTimeout } from './errors.js';
import type { Classify, Outcome, Verdict, VerdictKind } from './outcome.js';

const SUCCESS: Verdict = Object.freeze({ kind: 'success', repeat: false });
const FAILURE: Verdict = Object.freeze({ kind: 'failure', repeat: true });
const FINAL_FAILURE: Verdict = Object.freeze({ kind: 'failure', repeat: false });
const IGNORED: Verdict = Object.freeze({ kind: 'ignored', repeat: false });

const byKind: Record<VerdictKind, Verdict> = {
  success: SUCCESS,
  failure: FAILURE,
  ignored: IGNORED,
};

/**
 * What an outcome means for a layer.
 *
 * The caller's own cancellation, and a call that was refused or ended before its operation began, say
 * nothing about the dependency, and so does an attempt that lost to a hedge, however it ended. A call
 * cut short by one of our timeouts is a failure of the dependency.
 */
export function verdictOf(classify: Classify | undefined, outcome: Outcome, call: Call): Verdict {
  if (hasLost(call)) return lost(ask(classify, outcome, call));
  if (outcome.ok) return ask(classify, outcome, call) ?? SUCCESS;
  const expired = isTimeout(outcome.error);
  if (isRefusal(outcome.error) || call.cancelled) return IGNORED;
  if (!call.started && (expired || call.aborted)) return IGNORED;
  const verdict = ask(classify, outcome, call) ?? failure(call);
  const bare = verdict === SUCCESS || verdict === IGNORED;
  return expired && bare ? failure(call) : verdict;
}

/** Whether the call was aborted because another attempt gave the answer. */
export function hasLost(call: Call): boolean {
  if ((call as Partial<CallState>).root?.raced !== true || !call.aborted) return false;
  return isResilienceError(call.reason) && call.reason.code === 'RESIL_HEDGE_LOST';
}

/** Nobody will read what it holds. */
function lost(verdict: Verdict | undefined): Verdict {
  if (verdict?.discard === undefined) return IGNORED;
  return { kind: 'ignored', repeat: false, discard: verdict.discard };
}

/** What `classify` says; `undefined` if there is none or it fails. */
function ask(classify: Classify | undefined, outcome: Outcome, call: Call): Verdict | undefined {
  if (classify === undefined) return undefined;
  try {
    const verdict = classify(outcome, call);
    if (verdict === 'failure') return failure(call);
    if (typeof verdict === 'string' && Object.hasOwn(byKind, verdict)) return byKind[verdict];
    if (typeof verdict === 'object' && verdict !== null && Object.hasOwn(byKind, verdict.kind))
      return verdict;
    report(new TypeError(`classify gave ${String(verdict)} instead of a verdict`), 'classify');
  } catch (error) {
    report(error, 'classify');
  }
  return undefined;
}

/** Frees what an outcome holds on to, if its verdict knows how. */
export function discard(verdict: Verdict): void {
  try {
    verdict.discard?.();
  } catch (error) {
    report(error, 'discard');
  }
}

/** A failure may be repeated unless the caller said that repeating does harm. */
function failure(call: Call): Verdict {
  return call.idempotent === false ? FINAL_FAILURE : FAILURE;
}
