/**
 * Retry: runs what failed again, a limited number of times, with a growing and random wait between.
 *
 *   attempt 1 --failure--> delay --> attempt 2 --failure--> delay --> ... --> the last outcome itself
 *
 * It does not go on when the attempts or the budget are used up, when the wait would end after the
 * deadline, when the server asked for a longer wait than `maxRetryAfter`, when `classify` says that
 * repeating is not safe, when somebody further out repeats the work, or when the call is aborted, which
 * ends a wait at once.
 */
import { type AttemptBudget, budgetRule, endedIn, tellExhausted } from './attempt-budget.js';
import { type Backoff, type BackoffSettings, backoffDelay, type Jitter } from './backoff.js';
import type { Call } from './call.js';
import type { CallState, RootCall } from './call-state.js';
import type { CallTally } from './call-tally.js';
import type { Clock } from './clock.js';
import { describeBudget, jsonRecord, type LayerDescription } from './description.js';
import { report } from './emitter.js';
import { isRefusal } from './errors.js';
import type { RetryStopReason } from './events.js';
import type { Strategy } from './layer.js';
import type { Classify, Outcome, Verdict } from './outcome.js';
import { type Random, systemRandom } from './random.js';
import { SingleLayer } from './single-layer.js';
import { sleep } from './sleep.js';
import {
  checkOptions,
  clockRule,
  countRule,
  durationRule,
  eitherRule,
  functionRule,
  nameRule,
  type OptionRules,
  oneOfRule,
} from './validate.js';
import { discard, verdictOf } from './verdict.js';

/** Options of {@link retry}. */
export interface RetryOptions {
  /**
   * Attempts including the first: 3 attempts are 2 retries.
   *
   * At least 1; `Infinity` goes on until the deadline, the budget or an abort ends it.
   *
   * @defaultValue `retryDefaults.maxAttempts` (3)
   */
  readonly maxAttempts?: number | undefined;
  /**
   * Milliseconds that the delays grow from.
   *
   * @defaultValue `retryDefaults.baseDelay` (100)
   */
  readonly baseDelay?: number | undefined;
  /**
   * Longest delay in milliseconds, jitter included. A `retryAfter` may be longer.
   *
   * At least `baseDelay`.
   *
   * @defaultValue `retryDefaults.maxDelay` (5,000)
   */
  readonly maxDelay?: number | undefined;
  /** How the delay grows. @defaultValue `retryDefaults.backoff` (`'exponential'`) */
  readonly backoff?: Backoff | undefined;
  /** How chance spreads the delay. @defaultValue `retryDefaults.jitter` (`'full'`) */
  readonly jitter?: Jitter | undefined;
  /**
   * Whether an error may be retried, where `classify` allows it. It is the only way to retry a
   * refusal of a layer further in.
   */
  readonly shouldRetry?: ((error: unknown, call: Call) => boolean) | undefined;
  /** Tells which outcomes are failures, and which may be repeated. Default: that of the pipeline. */
  readonly classify?: Classify | undefined;
  /**
   * Longest wait in milliseconds that a server may ask for; a longer one ends the retries at once.
   * Shorter ones are obeyed in full. 0 gives up whenever the server asks for a wait.
   *
   * @defaultValue `retryDefaults.maxRetryAfter` (30,000)
   */
  readonly maxRetryAfter?: number | undefined;
  /**
   * What retries are taken out of: a `retryBudget`, a `concurrencyBudget`, a `tokenBudget`, one of your
   * own; `false` for no limit. One budget may serve many retries and hedges. Default: `false`; on in
   * `standard`.
   */
  readonly budget?: AttemptBudget | false | undefined;
  /**
   * What to do for work that somebody further out repeats, so that attempts don't multiply: `'once'`
   * makes one attempt, `'repeat'` goes on as if nobody did. Only an ambient context tells of it, such
   * as that of `@resil/context`; retries of one pipeline never count as nested.
   *
   * @defaultValue `retryDefaults.whenNested` (`'once'`)
   */
  readonly whenNested?: 'once' | 'repeat' | undefined;
  /** Source of chance for the jitter. Default: `Math.random`. */
  readonly random?: Random | undefined;
  /** Name in events. @defaultValue `'retry'` */
  readonly name?: string | undefined;
  /** Source of time. Default: that of the pipeline. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link retry}. */
export const retryDefaults: {
  readonly maxAttempts: number;
  readonly baseDelay: number;
  readonly maxDelay: number;
  readonly backoff: 'exponential';
  readonly jitter: 'full';
  readonly maxRetryAfter: number;
  readonly whenNested: 'once';
  readonly name: string;
} = Object.freeze({
  maxAttempts: 3,
  baseDelay: 100,
  maxDelay: 5_000,
  backoff: 'exponential',
  jitter: 'full',
  maxRetryAfter: 30_000,
  whenNested: 'once',
  name: 'retry',
});

const rules: OptionRules<RetryOptions> = {
  maxAttempts: countRule(1, true),
  baseDelay: durationRule(),
  maxDelay: durationRule(),
  backoff: eitherRule(oneOfRule('exponential', 'linear', 'constant'), functionRule),
  jitter: oneOfRule('full', 'equal', 'decorrelated', 'none'),
  shouldRetry: functionRule,
  classify: functionRule,
  maxRetryAfter: durationRule(0, true),
  budget: eitherRule(oneOfRule(false), budgetRule),
  whenNested: oneOfRule('once', 'repeat'),
  random: functionRule,
  name: nameRule,
  clock: clockRule,
};

/** The counter of each reason to stop. */
const STOPPED = {
  attempts: 'exhaustedByAttempts',
  deadline: 'exhaustedByDeadline',
  'retry-after': 'exhaustedByRetryAfter',
  budget: 'exhaustedByBudget',
  nested: 'exhaustedByNesting',
} as const satisfies Record<RetryStopReason, string>;

/** Runs what failed again. An instance may be shared; it holds no state but its budget. */
export class Retry extends SingleLayer implements Strategy {
  readonly name: string;
  /** @internal */
  readonly countsCalls = true;
  readonly clock: Clock | undefined;
  readonly #maxAttempts: number;
  readonly #delays: BackoffSettings;
  readonly #maxRetryAfter: number;
  readonly #shouldRetry: ((error: unknown, call: Call) => boolean) | undefined;
  readonly #classify: Classify | undefined;
  readonly #budget: AttemptBudget | undefined;
  readonly #whenNested: 'once' | 'repeat';
  readonly #random: Random;
  readonly #counters = {
    calls: 0,
    retries: 0,
    exhaustedByAttempts: 0,
    exhaustedByDeadline: 0,
    exhaustedByRetryAfter: 0,
    exhaustedByBudget: 0,
    exhaustedByNesting: 0,
  };
  /** Calls that wait for their next attempt. */
  #waiting = 0;

  /** @throws {@link InvalidOptionError} */
  constructor(options: RetryOptions = {}) {
    super();
    checkOptions('retry', options, rules);
    const defaults = retryDefaults;
    this.name = options.name ?? defaults.name;
    this.#maxAttempts = options.maxAttempts ?? defaults.maxAttempts;
    const baseDelay = options.baseDelay ?? defaults.baseDelay;
    this.#delays = {
      baseDelay,
      maxDelay: options.maxDelay ?? Math.max(baseDelay, defaults.maxDelay),
      backoff: options.backoff ?? defaults.backoff,
      jitter: options.jitter ?? defaults.jitter,
    };
    checkOptions(
      'retry',
      { maxDelay: this.#delays.maxDelay },
      { maxDelay: durationRule(baseDelay) },
    );
    this.#maxRetryAfter = options.maxRetryAfter ?? defaults.maxRetryAfter;
    this.#shouldRetry = options.shouldRetry;
    this.#classify = options.classify;
    this.#budget = options.budget === false ? undefined : options.budget;
    this.#whenNested = options.whenNested ?? defaults.whenNested;
    this.#random = options.random ?? systemRandom;
    this.clock = options.clock ?? this.#budget?.clock;
  }

  describe(): LayerDescription {
    const { calls, retries, ...exhausted } = this.#counters;
    const budget = this.#budget === undefined ? false : describeBudget(this.#budget);
    return {
      type: 'retry',
      name: this.name,
      options: jsonRecord({
        maxAttempts: this.#maxAttempts,
        ...this.#delays,
        maxRetryAfter: this.#maxRetryAfter,
        whenNested: this.#whenNested,
        shouldRetry: this.#shouldRetry,
        classify: this.#classify,
      }),
      state: { waiting: this.#waiting, budget },
      counters: { calls, attempts: calls + retries, retries, ...exhausted },
    };
  }

  run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T>;
  /** @internal */
  run<T>(call: Call, next: (call: Call) => Promise<T>, tally: CallTally | undefined): Promise<T>;
  run<T>(call: Call, next: (call: Call) => Promise<T>, tally?: CallTally): Promise<T> {
    this.#counters.calls++;
    const { root } = call as CallState;
    // Further in nobody repeats then, unless this call can't be repeated.
    if (this.#maxAttempts > 1 && call.idempotent !== false && !this.#isNested(root))
      root.repeated = true;
    const budget = this.#budget;
    const classify = this.#classify ?? (call as CallState).scope.classify;
    // Nobody looks at the duration of an outcome that is not classified.
    const startedAt = classify === undefined && budget === undefined ? 0 : call.now();
    if (budget === undefined) return this.#start(call, classify, startedAt, next, tally);
    const first = root.deposit(budget, startedAt);
    const result = this.#start(call, classify, startedAt, next, tally);
    return first && budget.callEnded !== undefined ? endedIn(budget, result) : result;
  }

  /** Makes the first attempt, and goes on from there. */
  #start<T>(
    call: Call,
    classify: Classify | undefined,
    startedAt: number,
    next: (call: Call) => Promise<T>,
    tally: CallTally | undefined,
  ): Promise<T> {
    const first = call.attempt === 1 ? call : call.derive({ attempt: 1 });
    const failed = (error: unknown): T | Promise<T> => {
      const outcome = { ok: false, error, duration: call.now() - startedAt } as const;
      return this.#ended(outcome, call, first, classify, next, tally);
    };
    if (classify === undefined && this.#budget?.record === undefined)
      return next(first).then<T, T>(tally?.passed, failed);
    return next(first).then((value) => {
      const outcome = { ok: true, value, duration: call.now() - startedAt } as const;
      return this.#ended(outcome, call, first, classify, next, tally);
    }, failed);
  }

  /** The first attempt has ended. */
  #ended<T>(
    outcome: Outcome<T>,
    call: Call,
    first: Call,
    classify: Classify | undefined,
    next: (call: Call) => Promise<T>,
    tally: CallTally | undefined,
  ): T | Promise<T> {
    const delay = this.#decide(outcome, first, classify, []);
    if (delay === undefined) {
      if (outcome.ok) tally?.succeed();
      else tally?.fail((call as CallState).root, outcome.error);
      return resultOf(outcome);
    }
    const result = this.#again(delay, call, first, classify, next);
    return tally === undefined ? result : tally.watch((call as CallState).root, result);
  }

  /** Goes on after the first attempt, until an attempt succeeds or there is a reason to stop. */
  async #again<T>(
    firstDelay: number,
    call: Call,
    firstCall: Call,
    classify: Classify | undefined,
    next: (call: Call) => Promise<T>,
  ): Promise<T> {
    const delays: number[] = [];
    let attempt = firstCall;
    for (let delay: number | undefined = firstDelay; ; ) {
      let outcome: Outcome<T>;
      try {
        await this.#wait(call, delay);
        if (call.aborted) throw call.reason;
        delays.push(delay);
        this.#counters.retries++;
        attempt = call.derive({ attempt: attempt.attempt + 1 });
        outcome = await outcomeOf(attempt, next);
      } finally {
        this.#budget?.attemptEnded?.();
      }
      delay = this.#decide(outcome, attempt, classify, delays);
      if (delay === undefined) return resultOf(outcome);
    }
  }

  async #wait(call: Call, delay: number): Promise<void> {
    this.#waiting++;
    try {
      await sleep(call, delay);
    } finally {
      this.#waiting--;
    }
  }

  /** Milliseconds to wait before the next attempt; `undefined` if this outcome is the last. */
  #decide(
    outcome: Outcome,
    attempt: Call,
    classify: Classify | undefined,
    delays: readonly number[],
  ): number | undefined {
    const verdict = verdictOf(classify, outcome, attempt);
    const repeatable = !attempt.aborted && this.#mayRepeat(outcome, attempt, verdict);
    if (verdict.kind === 'success' || (verdict.kind === 'failure' && repeatable))
      this.#budget?.record?.(verdict.kind === 'success');
    if (!repeatable) return undefined;
    const error = outcome.ok ? undefined : outcome.error;
    const stop = (reason: RetryStopReason): undefined => {
      this.#counters[STOPPED[reason]]++;
      if (attempt.observed)
        attempt.emit({ type: 'retry.exhausted', strategy: this.name, reason, error, delays });
    };
    if (attempt.attempt >= this.#maxAttempts) return stop('attempts');
    if (this.#isNested((attempt as CallState).root)) return stop('nested');
    // A hint that is not a number counts as none.
    const asked = (verdict.retryAfter ?? (isRefusal(error) ? error.retryAfter : undefined)) || 0;
    if (asked > this.#maxRetryAfter) return stop('retry-after');
    const delay = Math.max(asked, this.#backoff(attempt.attempt, delays.at(-1)));
    if (delay >= attempt.remaining()) return stop('deadline');
    if (this.#budget?.tryWithdraw() === false) {
      tellExhausted(attempt, this.#budget, 'retry');
      return stop('budget');
    }
    if (attempt.observed)
      attempt.emit({ type: 'retry.scheduled', strategy: this.name, delay, error });
    discard(verdict);
    return delay;
  }

  /** Whether somebody further out repeats what this retry would. */
  #isNested(root: RootCall): boolean {
    return this.#whenNested === 'once' && root.ambient?.retried === true;
  }

  #mayRepeat(outcome: Outcome, attempt: Call, verdict: Verdict): boolean {
    if (outcome.ok) return verdict.repeat;
    const refused = isRefusal(outcome.error);
    if (!refused && !verdict.repeat) return false;
    if (this.#shouldRetry === undefined) return !refused;
    try {
      return this.#shouldRetry(outcome.error, attempt);
    } catch (error) {
      report(error, 'shouldRetry');
      return false;
    }
  }

  #backoff(attempt: number, previous: number | undefined): number {
    try {
      const delay = backoffDelay(this.#delays, attempt, previous, this.#random);
      if (delay >= 0) return delay;
      report(new RangeError(`backoff gave ${delay}`), 'backoff');
    } catch (error) {
      report(error, 'backoff');
    }
    return this.#delays.maxDelay;
  }
}

/**
 * A retry.
 *
 * @returns A layer; when the attempts run out the last outcome itself comes out.
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { retry } from '@resil/core';
 *
 * const answer = await retry({ maxAttempts: 3, baseDelay: 10 }).execute(async ({ attempt }) => {
 *   if (attempt < 3) throw new Error('not yet');
 *   return 'done';
 * });
 * ```
 */
export function retry(options: RetryOptions = {}): Retry {
  return new Retry(options);
}

async function outcomeOf<T>(call: Call, next: (call: Call) => Promise<T>): Promise<Outcome<T>> {
  const startedAt = call.now();
  try {
    const value = await next(call);
    return { ok: true, value, duration: call.now() - startedAt };
  } catch (error) {
    return { ok: false, error, duration: call.now() - startedAt };
  }
}

function resultOf<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw outcome.error;
}
