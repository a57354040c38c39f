/** What retries and hedges are taken out of: the contract of `retryBudget` and `tokenBudget`, and of your own. */
import type { Call } from './call.js';
import type { Clock } from './clock.js';
import type { LayerDescription } from './description.js';
import { type OptionRule, objectRule } from './validate.js';

/**
 * Limits the attempts after the first. Shared by as many retries and hedges as it is given to, in
 * any number of pipelines; none of its members may throw.
 */
export interface AttemptBudget {
  /** Name in events. */
  readonly name: string;
  /** Source of time, if it goes by time. */
  readonly clock?: Clock | undefined;
  /** A call begins, at `now` on the clock's scale. A call counts once, however many of its layers share the budget. */
  deposit(now?: number): void;
  /** A call that was told by `deposit` has ended. Left out by a budget that doesn't go by what is running. */
  callEnded?(): void;
  /** Takes one more attempt out, when it is decided; gives whether it is allowed. */
  tryWithdraw(now?: number): boolean;
  /**
   * An attempt that `tryWithdraw` allowed has ended, or will not be made. Called once for each. Left
   * out by a budget that doesn't go by what is running.
   */
  attemptEnded?(): void;
  /**
   * An attempt ended: with a success, or with a failure that may be repeated. Told before
   * `tryWithdraw` is asked. Left out by a budget that doesn't go by outcomes.
   */
  record?(succeeded: boolean): void;
  /** Why `tryWithdraw` has just refused, for events. */
  refusal?(): BudgetRefusal;
  /** Its options, what it holds and what it did, as JSON, for the `describe()` of who goes by it. */
  describe?(): LayerDescription;
}

/** Why a budget refused an attempt. */
export interface BudgetRefusal {
  /**
   * `'window'`: the calls of the latest time allow no more; `'concurrency'`: those that are running
   * allow no more; `'tokens'`: too many attempts failed; `'max-extra-load'`: the share of a hedge's own
   * calls is used up.
   */
  readonly reason: 'window' | 'concurrency' | 'tokens' | 'max-extra-load' | (string & {});
  /** What is used of it: attempts, or tokens lost. */
  readonly used: number;
  /** What may be used. One more would have exceeded it. */
  readonly limit: number;
}

const UNEXPLAINED: Partial<BudgetRefusal> & { readonly reason: string } = { reason: 'refused' };

/** What is told of a refusal. */
type Refuser = Pick<AttemptBudget, 'name' | 'refusal'>;

/** Tells that a budget refused one more attempt of a call. */
export function tellExhausted(call: Call, budget: Refuser, wanted: 'retry' | 'hedge'): void {
  if (!call.observed) return;
  const { reason, used, limit } = budget.refusal?.() ?? UNEXPLAINED;
  call.emit({ type: 'budget.exhausted', strategy: budget.name, wanted, reason, used, limit });
}

/** The result of a call that was told to a budget, which hears of its end. */
export function endedIn<T>(budget: AttemptBudget, result: Promise<T>): Promise<T> {
  const end = (): void => budget.callEnded?.();
  result.then(end, end);
  return result;
}

/** A budget, as an option. */
export const budgetRule: OptionRule = objectRule(
  'a budget (deposit, tryWithdraw)',
  (value) => typeof value.deposit === 'function' && typeof value.tryWithdraw === 'function',
);
