/**
 * Retry budget: keeps retries a share of the calls, so that an outage is not answered by a storm.
 *
 * A leaky bucket over a window, after Finagle's RetryBudget: each call deposits, each retry withdraws
 * 1 / `ratio` deposits, both are forgotten after `window`, and a floor of `minPerSecond` lets a quiet
 * client retry at all. Counted in whole thousandths, as there. A retry withdraws when it is decided,
 * before it waits, so that retries in their backoff hold what they will use.
 */
import type { AttemptBudget, BudgetRefusal } from './attempt-budget.js';
import { type Clock, systemClock } from './clock.js';
import { jsonRecord, type LayerDescription } from './description.js';
import {
  checkOptions,
  clockRule,
  nameRule,
  numberRule,
  type OptionRules,
  objectRule,
  positiveDurationRule,
} from './validate.js';

/** Options of {@link retryBudget}. */
export interface RetryBudgetOptions {
  /**
   * Retries allowed per call.
   *
   * At least 0 (only the floor is left) and at most 1,000.
   *
   * @defaultValue `retryBudgetDefaults.ratio` (0.2)
   */
  readonly ratio?: number | undefined;
  /**
   * Retries per second that are allowed however few calls there are.
   *
   * At least 0.
   *
   * @defaultValue `retryBudgetDefaults.minPerSecond` (1)
   */
  readonly minPerSecond?: number | undefined;
  /**
   * How long deposits and withdrawals count: `{ duration }` in milliseconds, above 0.
   *
   * @defaultValue `retryBudgetDefaults.window` (`{ duration: 10_000 }`)
   */
  readonly window?: { readonly duration: number } | undefined;
  /** Name in events. @defaultValue `'retry-budget'` */
  readonly name?: string | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link retryBudget}. */
export const retryBudgetDefaults: {
  readonly ratio: number;
  readonly minPerSecond: number;
  readonly window: { readonly duration: number };
  readonly name: string;
} = Object.freeze({
  ratio: 0.2,
  minPerSecond: 1,
  window: Object.freeze({ duration: 10_000 }),
  name: 'retry-budget',
});

const ratioRule = {
  test: (value: unknown) => numberRule(0).test(value) && (value as number) <= 1_000,
  text: 'a number from 0 to 1000',
};

const rules: OptionRules<RetryBudgetOptions> = {
  ratio: ratioRule,
  minPerSecond: numberRule(0),
  window: objectRule('{ duration } (milliseconds above 0)', (value) =>
    positiveDurationRule().test(value.duration),
  ),
  name: nameRule,
  clock: clockRule,
};

const SCALE = 1_000;
const SLOTS = 10;

/** Keeps retries a share of the calls. Shared by as many retries and hedges as it is given to. */
export class RetryBudget implements AttemptBudget {
  readonly name: string;
  readonly clock: Clock;
  readonly #deposit: number;
  readonly #withdrawal: number;
  readonly #floor: number;
  readonly #width: number;
  readonly #slots = new Float64Array(SLOTS);
  /** By slot, the retries that were taken out in it. */
  readonly #taken = new Float64Array(SLOTS);
  readonly #options: Required<Pick<RetryBudgetOptions, 'ratio' | 'minPerSecond' | 'window'>>;
  readonly #counters = { deposits: 0, withdrawals: 0, refused: 0 };
  #turn = -Infinity;
  #sum = 0;

  /** @throws {@link InvalidOptionError} */
  constructor(options: RetryBudgetOptions = {}) {
    checkOptions('retryBudget', options, rules);
    const ratio = options.ratio ?? retryBudgetDefaults.ratio;
    const minPerSecond = options.minPerSecond ?? retryBudgetDefaults.minPerSecond;
    const { duration } = options.window ?? retryBudgetDefaults.window;
    this.#options = { ratio, minPerSecond, window: { duration } };
    this.name = options.name ?? retryBudgetDefaults.name;
    this.clock = options.clock ?? systemClock;
    this.#deposit = ratio === 0 ? 0 : SCALE;
    this.#withdrawal = ratio === 0 ? 1 : Math.max(1, Math.floor(SCALE / ratio));
    this.#floor = (minPerSecond * duration * this.#withdrawal) / 1_000;
    this.#width = duration / SLOTS;
  }

  /** Retries that are allowed at this moment. */
  get balance(): number {
    this.#turnTo(this.clock.now());
    return Math.max(0, Math.floor((this.#sum + this.#floor) / this.#withdrawal));
  }

  /** Its options, what it holds and what it did, as JSON. */
  describe(): LayerDescription {
    return {
      type: 'retryBudget',
      name: this.name,
      options: jsonRecord(this.#options),
      state: { balance: this.balance },
      counters: { ...this.#counters },
    };
  }

  /** Counts a call. `now` saves reading the clock. */
  deposit(now: number = this.clock.now()): void {
    this.#turnTo(now);
    this.#add(this.#deposit);
    this.#counters.deposits++;
  }

  /** Takes one retry out, if there is one; gives whether there was. */
  tryWithdraw(now: number = this.clock.now()): boolean {
    this.#turnTo(now);
    if (this.#sum + this.#floor < this.#withdrawal) {
      this.#counters.refused++;
      return false;
    }
    this.#counters.withdrawals++;
    this.#add(-this.#withdrawal);
    const slot = slotOf(this.#turn);
    this.#taken[slot] = (this.#taken[slot] as number) + 1;
    return true;
  }

  /** Retries that were taken out in the window, and how many its calls and the floor allow. */
  refusal(): BudgetRefusal {
    const used = this.#taken.reduce((sum, taken) => sum + taken, 0);
    const left = (this.#sum + this.#floor) / this.#withdrawal;
    return { reason: 'window', used, limit: used + Math.max(0, left) };
  }

  #add(amount: number): void {
    const slot = slotOf(this.#turn);
    this.#slots[slot] = (this.#slots[slot] as number) + amount;
    this.#sum += amount;
  }

  #turnTo(now: number): void {
    const turn = Math.floor(now / this.#width);
    if (turn <= this.#turn) return;
    const passed = Math.min(turn - this.#turn, SLOTS);
    for (let step = 0; step < passed; step++) {
      const slot = slotOf(turn - step);
      this.#sum -= this.#slots[slot] as number;
      this.#slots[slot] = 0;
      this.#taken[slot] = 0;
    }
    this.#turn = turn;
  }
}

/**
 * A retry budget, for the option `budget` of one retry or of many.
 *
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { retry, retryBudget } from '@resil/core';
 *
 * const budget = retryBudget({ ratio: 0.1 });
 * const reads = retry({ maxAttempts: 3, budget });
 * const writes = retry({ maxAttempts: 2, budget });
 * await Promise.all([reads.execute(async () => 1), writes.execute(async () => 2)]);
 * ```
 */
export function retryBudget(options: RetryBudgetOptions = {}): RetryBudget {
  return new RetryBudget(options);
}

function slotOf(turn: number): number {
  return ((turn % SLOTS) + SLOTS) % SLOTS;
}
