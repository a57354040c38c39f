/** The rule set. */
import { BadInputError } from '../bad-input.js';
import {
  doubleRetry,
  endlessRetry,
  noTimeout,
  noTimeToRetry,
  retryStorm,
  unboundedQueueWait,
} from './attempts.js';
import {
  hiddenDependency,
  noFallback,
  observedOnly,
  sharedGuard,
  unnamedPipeline,
} from './coverage.js';
import { differentSettings, resetBeforeRestart, tooFewProbes } from './recovery.js';
import type { Rule } from './rule.js';
import { cascadingTimeout, shortWindow } from './timeouts.js';

/** Every rule, in the order of its documentation. */
export const rules: readonly Rule[] = Object.freeze([
  retryStorm,
  doubleRetry,
  endlessRetry,
  noTimeToRetry,
  cascadingTimeout,
  noTimeout,
  unboundedQueueWait,
  shortWindow,
  hiddenDependency,
  sharedGuard,
  resetBeforeRestart,
  tooFewProbes,
  differentSettings,
  noFallback,
  unnamedPipeline,
  observedOnly,
]);

/**
 * A rule by its id.
 *
 * @throws `BadInputError` for an id that no rule has.
 */
export function ruleOf(id: string): Rule {
  const found = rules.find((rule) => rule.id === id);
  if (found !== undefined) return found;
  throw new BadInputError(
    `there is no rule '${id}'; known are ${rules.map((rule) => rule.id).join(', ')}`,
  );
}
