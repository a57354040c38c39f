/**
 * Observe mode: a guard that decides as ever and keeps its state as ever, tells what it would have
 * refused or made wait, and lets the call go at once. For trying out numbers on real traffic.
 */
import { type OptionRule, oneOfRule } from './validate.js';

/** Whether a guard refuses (`'enforce'`), or only tells what it would have refused (`'observe'`). */
export type GuardMode = 'enforce' | 'observe';

/** A {@link GuardMode}. */
export const modeRule: OptionRule = oneOfRule('enforce', 'observe');

/** What marks the events of a guard that only observes. */
export interface ObservedMark {
  /** Set where a guard runs as `mode: 'observe'`: it only tells what it would have done. */
  readonly observed?: true | undefined;
}

const OBSERVED: ObservedMark = Object.freeze({ observed: true });
const ENFORCED: ObservedMark = Object.freeze({});

/** The mark of a guard's events, to be spread into each. */
export function markOf(mode: GuardMode): ObservedMark {
  return mode === 'observe' ? OBSERVED : ENFORCED;
}
