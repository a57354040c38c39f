/**
 * Fallback: a second answer when the first one can't be had.
 *
 * It answers failures and refusals. It never answers the caller's own cancellation, nor an error that
 * `classify` ignores: those are the caller's, not the dependency's. What the fallback throws comes
 * out in place of the first error.
 */
import type { Call } from './call.js';
import type { CallState } from './call-state.js';
import type { CallTally } from './call-tally.js';
import { jsonRecord, type LayerDescription } from './description.js';
import { isRefusalOrTimeout } from './errors.js';
import type { Strategy } from './layer.js';
import type { Classify, Outcome } from './outcome.js';
import { SingleLayer } from './single-layer.js';
import {
  checkOptions,
  functionRule,
  InvalidOptionError,
  nameRule,
  type OptionRules,
} from './validate.js';
import { discard, verdictOf } from './verdict.js';

/** Gives the answer in place of the failed one. `error` is what failed, or the value that `classify` called a failure. */
export type FallbackFunction = (error: unknown, call: Call) => unknown;

/** Options of {@link fallback}. */
export interface FallbackOptions {
  /** Tells which outcomes are failures. Default: that of the pipeline. */
  readonly classify?: Classify | undefined;
  /** Name in events. @defaultValue `'fallback'` */
  readonly name?: string | undefined;
}

/** Defaults of {@link fallback}. */
export const fallbackDefaults: { readonly name: string } = Object.freeze({ name: 'fallback' });

const rules: OptionRules<FallbackOptions> = { classify: functionRule, name: nameRule };

/** A second answer when the first one can't be had. An instance may be shared. */
export class Fallback extends SingleLayer implements Strategy {
  readonly name: string;
  /** @internal */
  readonly countsCalls = true;
  readonly #fn: FallbackFunction;
  readonly #classify: Classify | undefined;
  readonly #counters = { used: 0, failed: 0 };

  /** @throws {@link InvalidOptionError} */
  constructor(fn: FallbackFunction, options: FallbackOptions = {}) {
    super();
    if (typeof fn !== 'function')
      throw new InvalidOptionError('fallback: fn', fn, 'must be a function');
    checkOptions('fallback', options, rules);
    this.name = options.name ?? fallbackDefaults.name;
    this.#fn = fn;
    this.#classify = options.classify;
  }

  describe(): LayerDescription {
    return {
      type: 'fallback',
      name: this.name,
      options: jsonRecord({ classify: this.#classify }),
      state: {},
      counters: { ...this.#counters },
    };
  }

  run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T>;
  /** @internal */
  run<T>(call: Call, next: (call: Call) => Promise<T>, tally: CallTally | undefined): Promise<T>;
  async run<T>(call: Call, next: (call: Call) => Promise<T>, tally?: CallTally): Promise<T> {
    const startedAt = call.now();
    const classify = this.#classify ?? (call as CallState).scope.classify;
    let outcome: Outcome<T>;
    try {
      const value = await next(call);
      if (classify === undefined) {
        tally?.succeed();
        return value;
      }
      outcome = { ok: true, value, duration: call.now() - startedAt };
    } catch (error) {
      outcome = { ok: false, error, duration: call.now() - startedAt };
    }
    const answer = this.#answer(outcome, classify, call);
    return tally === undefined ? answer : tally.watch((call as CallState).root, answer);
  }

  async #answer<T>(outcome: Outcome<T>, classify: Classify | undefined, call: Call): Promise<T> {
    const verdict = verdictOf(classify, outcome, call);
    if (outcome.ok) {
      if (verdict.kind !== 'failure') return outcome.value;
    } else if (
      call.cancelled ||
      (verdict.kind !== 'failure' && !isRefusalOrTimeout(outcome.error))
    ) {
      throw outcome.error;
    }
    this.#counters.used++;
    discard(verdict);
    const error = outcome.ok ? outcome.value : outcome.error;
    if (call.observed) {
      call.emit({
        type: 'fallback.used',
        strategy: this.name,
        error: outcome.ok ? undefined : error,
      });
    }
    try {
      return (await this.#fn(error, call)) as T;
    } catch (failure) {
      this.#counters.failed++;
      throw failure;
    }
  }
}

/**
 * A fallback: `fn(error, call)` answers failures and refusals.
 *
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { fallback } from '@resil/core';
 *
 * const price = await fallback(() => 42).execute(async (): Promise<number> => {
 *   throw new Error('down');
 * });
 * ```
 */
export function fallback(fn: FallbackFunction, options: FallbackOptions = {}): Fallback {
  return new Fallback(fn, options);
}
