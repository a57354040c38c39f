/** The rules that hold whatever `classify` says, and the default for when there is none. */
import type { Call } from './call.js';
import { report } from './emitter.js';
import { isRefusal, isResilienceError } from './errors.js';
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
 * The caller's own cancellation, and a refusal by a guard further in, say nothing about the
 * dependency. A call cut short by one of our timeouts is a failure of the dependency; whether it may
 * be repeated is up to `classify`.
 */
export function verdictOf(classify: Classify | undefined, outcome: Outcome, call: Call): Verdict {
  if (!outcome.ok) {
    if (isRefusal(outcome.error) || (call.aborted && (call.cancelled || !call.started)))
      return IGNORED;
    if (isTimeout(outcome.error)) {
      const verdict = ask(classify, outcome, call);
      return verdict.kind === 'failure' ? verdict : failure(call);
    }
  }
  return ask(classify, outcome, call);
}

function ask(classify: Classify | undefined, outcome: Outcome, call: Call): Verdict {
  if (classify !== undefined) {
    try {
      const verdict = classify(outcome, call);
      if (typeof verdict === 'string') {
        const known = byKind[verdict];
        if (known !== undefined) return verdict === 'failure' ? failure(call) : known;
      } else if (
        typeof verdict === 'object' &&
        verdict !== null &&
        byKind[verdict.kind] !== undefined
      ) {
        return verdict;
      }
      report(new TypeError(`classify gave ${String(verdict)} instead of a verdict`), 'classify');
    } catch (error) {
      report(error, 'classify');
    }
  }
  return outcome.ok ? SUCCESS : failure(call);
}

/** A failure may be repeated unless the caller said that repeating does harm. */
function failure(call: Call): Verdict {
  return call.idempotent === false ? FINAL_FAILURE : FAILURE;
}

function isTimeout(error: unknown): boolean {
  return isResilienceError(error) && error.code === 'RESIL_TIMEOUT';
}
