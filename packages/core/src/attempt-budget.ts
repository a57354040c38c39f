/** What retries and hedges are taken out of: the contract of `retryBudget` and `tokenBudget`, and of your own. */
import type { Clock } from './clock.js';

/** Limits the attempts after the first. Shared by as many retries and hedges as it is given to; none of its members may throw. */
export interface AttemptBudget {
  /** Name in events. */
  readonly name: string;
  /** Source of time, if it goes by time. */
  readonly clock?: Clock | undefined;
  /** A call begins, at `now` on the clock's scale. */
  deposit(now?: number): void;
  /** Takes one more attempt out, when it is decided; gives whether it is allowed. */
  tryWithdraw(now?: number): boolean;
  /**
   * An attempt ended: with a success, or with a failure that may be repeated. Told before
   * `tryWithdraw` is asked. Left out by a budget that doesn't go by outcomes.
   */
  record?(succeeded: boolean): void;
}
