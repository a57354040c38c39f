/**
 * Concurrency budget: keeps the extra attempts that are in flight a share of the calls that are.
 *
 *   one more is allowed while attempts < max(minConcurrentAttempts, floor(ratio * calls))
 *
 * The retry budget of Envoy's circuit breakers: of 100 calls in flight, at 0.25, 25 may be in a retry
 * or have a hedge. It needs no window and no time: when calls hang, what they hold is counted until
 * they end. A retry counts from its decision on, so those in their backoff hold what they will use.
 * failsafe-go counts the extra attempts among the calls and looks before it adds one, and so lets in a
 * few more; here the share is never exceeded.
 */
import type { AttemptBudget, BudgetRefusal } from './attempt-budget.js';
import type { LayerDescription } from './description.js';
import { checkOptions, countRule, nameRule, numberRule, type OptionRules } from './validate.js';

/** Options of {@link concurrencyBudget}. */
export interface ConcurrencyBudgetOptions {
  /**
   * Extra attempts in flight per call in flight.
   *
   * At least 0 (only the floor is left).
   *
   * @defaultValue `concurrencyBudgetDefaults.ratio` (0.2)
   */
  readonly ratio?: number | undefined;
  /**
   * Extra attempts that may be in flight however few calls there are.
   *
   * At least 0.
   *
   * @defaultValue `concurrencyBudgetDefaults.minConcurrentAttempts` (3)
   */
  readonly minConcurrentAttempts?: number | undefined;
  /** Name in events. @defaultValue `'concurrency-budget'` */
  readonly name?: string | undefined;
}

/**
 * Defaults of {@link concurrencyBudget}: those of Envoy.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/circuit_breaker.proto
 */
export const concurrencyBudgetDefaults: {
  readonly ratio: number;
  readonly minConcurrentAttempts: number;
  readonly name: string;
} = Object.freeze({ ratio: 0.2, minConcurrentAttempts: 3, name: 'concurrency-budget' });

const rules: OptionRules<ConcurrencyBudgetOptions> = {
  ratio: numberRule(0),
  minConcurrentAttempts: countRule(0),
  name: nameRule,
};

/** Keeps the extra attempts in flight a share of the calls in flight. Shared by as many retries and hedges as it is given to. */
export class ConcurrencyBudget implements AttemptBudget {
  readonly name: string;
  readonly #ratio: number;
  readonly #floor: number;
  readonly #counters = { deposits: 0, withdrawals: 0, refused: 0 };
  #calls = 0;
  #attempts = 0;

  /** @throws {@link InvalidOptionError} */
  constructor(options: ConcurrencyBudgetOptions = {}) {
    checkOptions('concurrencyBudget', options, rules);
    this.name = options.name ?? concurrencyBudgetDefaults.name;
    this.#ratio = options.ratio ?? concurrencyBudgetDefaults.ratio;
    this.#floor = options.minConcurrentAttempts ?? concurrencyBudgetDefaults.minConcurrentAttempts;
  }

  /** Calls in flight. */
  get calls(): number {
    return this.#calls;
  }

  /** Extra attempts in flight, those in their backoff included. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Extra attempts that are allowed at this moment. */
  get balance(): number {
    return Math.max(0, this.#limit - this.#attempts);
  }

  /** Its options, what it holds and what it did, as JSON. */
  describe(): LayerDescription {
    return {
      type: 'concurrencyBudget',
      name: this.name,
      options: { ratio: this.#ratio, minConcurrentAttempts: this.#floor },
      state: { calls: this.#calls, attempts: this.#attempts, balance: this.balance },
      counters: { ...this.#counters },
    };
  }

  /** Counts a call that begins. */
  deposit(): void {
    this.#counters.deposits++;
    this.#calls++;
  }

  /** Counts a call that has ended. */
  callEnded(): void {
    this.#calls--;
  }

  /** Takes one attempt out, if there is one; gives whether there was. */
  tryWithdraw(): boolean {
    if (this.#attempts >= this.#limit) {
      this.#counters.refused++;
      return false;
    }
    this.#counters.withdrawals++;
    this.#attempts++;
    return true;
  }

  /** Counts an attempt that has ended. */
  attemptEnded(): void {
    this.#attempts--;
  }

  /** Extra attempts in flight, and how many the calls in flight and the floor allow. */
  refusal(): BudgetRefusal {
    return { reason: 'concurrency', used: this.#attempts, limit: this.#limit };
  }

  get #limit(): number {
    // 0.29 * 100 is a little less than 29.
    return Math.max(this.#floor, Math.floor(this.#ratio * this.#calls + 1e-9));
  }
}

/**
 * A concurrency budget, for the option `budget` of one retry or hedge, or of many.
 *
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { concurrencyBudget, retry } from '@resil/core';
 *
 * const budget = concurrencyBudget({ ratio: 0.25, minConcurrentAttempts: 5 });
 * const reads = retry({ maxAttempts: 3, budget });
 * await reads.execute(async () => `${budget.calls} in flight, ${budget.balance} more attempts allowed`);
 * ```
 */
export function concurrencyBudget(options: ConcurrencyBudgetOptions = {}): ConcurrencyBudget {
  return new ConcurrencyBudget(options);
}
