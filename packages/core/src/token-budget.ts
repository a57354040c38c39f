/**
 * Token budget: stops retrying while a server mostly fails, and starts again when it answers.
 *
 *   tokens, from 0 to maxTokens, starts full; failed attempt - 1, successful attempt + tokenRatio
 *   a retry is allowed while tokens > maxTokens / 2
 *
 * The retry throttling of gRPC (proposal A6). It knows no time: only answers bring it back, so it
 * suits a dependency that is called all the time. Tokens drift to 0 when more than
 * tokenRatio / (1 + tokenRatio) of the attempts fail. Counted in whole thousandths, so that fifty
 * times 0.1 is exactly 5. As there, a failure counts only if repeating it would have been allowed.
 */
import type { AttemptBudget, BudgetRefusal } from './attempt-budget.js';
import type { LayerDescription } from './description.js';
import { checkOptions, nameRule, type OptionRules } from './validate.js';

/** Options of {@link tokenBudget}. */
export interface TokenBudgetOptions {
  /**
   * Tokens that it starts with and never has more of; at half of them or less nothing is retried.
   *
   * Whole number from 1 to 1,000.
   *
   * @defaultValue `tokenBudgetDefaults.maxTokens` (10)
   */
  readonly maxTokens?: number | undefined;
  /**
   * Tokens that a successful attempt gives back.
   *
   * At least 0.001; decimals after the third don't count.
   *
   * @defaultValue `tokenBudgetDefaults.tokenRatio` (0.1)
   */
  readonly tokenRatio?: number | undefined;
  /** Name in events. @defaultValue `'token-budget'` */
  readonly name?: string | undefined;
}

/**
 * Defaults of {@link tokenBudget}: those of gRPC's own examples.
 *
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 */
export const tokenBudgetDefaults: {
  readonly maxTokens: number;
  readonly tokenRatio: number;
  readonly name: string;
} = Object.freeze({ maxTokens: 10, tokenRatio: 0.1, name: 'token-budget' });

const SCALE = 1_000;

const rules: OptionRules<TokenBudgetOptions> = {
  maxTokens: {
    test: (value) =>
      Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 1_000,
    text: 'a whole number from 1 to 1000',
  },
  tokenRatio: {
    test: (value) => Number.isFinite(value) && (value as number) >= 1 / SCALE,
    text: `a number of at least ${1 / SCALE}`,
  },
  name: nameRule,
};

/** Stops retrying while most attempts fail. Shared by all retries that call the same server. */
export class TokenBudget implements AttemptBudget {
  readonly name: string;
  readonly #most: number;
  readonly #gain: number;
  readonly #counters = { succeeded: 0, failed: 0, withdrawals: 0, refused: 0 };
  #tokens: number;

  /** @throws {@link InvalidOptionError} */
  constructor(options: TokenBudgetOptions = {}) {
    checkOptions('tokenBudget', options, rules);
    this.name = options.name ?? tokenBudgetDefaults.name;
    this.#most = (options.maxTokens ?? tokenBudgetDefaults.maxTokens) * SCALE;
    this.#gain = thousandths(options.tokenRatio ?? tokenBudgetDefaults.tokenRatio);
    this.#tokens = this.#most;
  }

  /** Tokens at this moment, from 0 to `maxTokens`. */
  get tokens(): number {
    return this.#tokens / SCALE;
  }

  /** Its options, what it holds and what it did, as JSON. */
  describe(): LayerDescription {
    return {
      type: 'tokenBudget',
      name: this.name,
      options: { maxTokens: this.#most / SCALE, tokenRatio: this.#gain / SCALE },
      state: { tokens: this.tokens },
      counters: { ...this.#counters },
    };
  }

  /** Does nothing: a call counts when it ends. */
  deposit(): void {}

  /** Gives whether a retry is allowed. It costs nothing: the failure before it did. */
  tryWithdraw(): boolean {
    const allowed = this.#tokens * 2 > this.#most;
    if (allowed) this.#counters.withdrawals++;
    else this.#counters.refused++;
    return allowed;
  }

  /** Tokens that failures have cost, and how many they may. */
  refusal(): BudgetRefusal {
    const used = (this.#most - this.#tokens) / SCALE;
    return { reason: 'tokens', used, limit: this.#most / 2 / SCALE };
  }

  /** Counts an attempt that ended. */
  record(succeeded: boolean): void {
    if (succeeded) this.#counters.succeeded++;
    else this.#counters.failed++;
    this.#tokens = succeeded
      ? Math.min(this.#most, this.#tokens + this.#gain)
      : Math.max(0, this.#tokens - SCALE);
  }
}

/**
 * A token budget, for the option `budget` of one retry or of many.
 *
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { retry, tokenBudget } from '@resil/core';
 *
 * const budget = tokenBudget({ maxTokens: 10, tokenRatio: 0.1 });
 * const reads = retry({ maxAttempts: 3, budget });
 * await reads.execute(async () => budget.tokens);
 * ```
 */
export function tokenBudget(options: TokenBudgetOptions = {}): TokenBudget {
  return new TokenBudget(options);
}

/** Cut to whole thousandths; 1.001 × 1,000 is a little less than 1,001. */
function thousandths(value: number): number {
  return Math.floor(value * SCALE * (1 + Number.EPSILON));
}
