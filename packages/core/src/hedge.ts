/**
 * Hedge: runs a second copy of a slow call, and takes the first answer.
 *
 *   attempt 1 ----------------------------------------x  (aborted)
 *             '- delay -> attempt 2 -------> answer
 *
 * The user names the extra load, not a delay: the delay is the latency that only the share
 * `maxExtraLoad` of the first attempts exceed, so a hedge starts for that share of the calls, and a
 * cap keeps it there when everything gets slow at once. After Finagle's BackupRequestFilter and Dean
 * and Barroso, The Tail at Scale (2013). A first attempt that fails starts the next one at once and
 * the schedule goes on from there, as in gRPC's hedging policy (proposal A6). Unlike there, a server
 * that asks for a wait gets no further attempt: waiting is for a retry further out.
 */
import { type AttemptBudget, budgetRule } from './attempt-budget.js';
import type { Call } from './call.js';
import type { CallState } from './call-state.js';
import type { Clock } from './clock.js';
import {
  describeBudget,
  type JsonRecord,
  jsonRecord,
  type LayerDescription,
} from './description.js';
import {
  ExtraLoadCap,
  FixedDelay,
  ObservedDelay,
  type ObservedDelaySettings,
} from './hedge-delay.js';
import { HedgedRun, type HedgeState } from './hedged-run.js';
import type { Strategy } from './layer.js';
import type { Classify } from './outcome.js';
import { retryBudget } from './retry-budget.js';
import { SingleLayer } from './single-layer.js';
import {
  booleanRule,
  checkOptions,
  clockRule,
  countRule,
  durationRule,
  eitherRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  type OptionRules,
  objectRule,
  oneOfRule,
  positiveDurationRule,
  ratioRule,
} from './validate.js';

/** Options of {@link hedge}. */
export interface HedgeOptions {
  /**
   * Hedges per call, at most: the extra load that the dependency is to bear.
   *
   * Ratio in (0, 1]. It makes the delay (at 0.02 that which 98 % of the first attempts don't exceed),
   * and it is kept whatever the delay: from when the hedge was made there are never more hedges than
   * this share of the calls. Must be left out where `delay` is given.
   *
   * @defaultValue `hedgeDefaults.maxExtraLoad` (0.02)
   */
  readonly maxExtraLoad?: number | undefined;
  /**
   * Milliseconds after which the next attempt starts, instead of the observed delay.
   *
   * At least 0 (all attempts at once); `Infinity` starts one only when another has failed. The budget
   * alone limits the hedges then.
   *
   * Default: observed, by `maxExtraLoad`.
   */
  readonly delay?: number | undefined;
  /**
   * Attempts beside the first.
   *
   * At least 1.
   *
   * @defaultValue `hedgeDefaults.maxHedges` (1)
   */
  readonly maxHedges?: number | undefined;
  /**
   * Shortest observed delay in milliseconds.
   *
   * @defaultValue `hedgeDefaults.minDelay` (1)
   */
  readonly minDelay?: number | undefined;
  /**
   * First attempts in the window that an observed delay needs. Until there are so many, only failures
   * start a hedge.
   *
   * At least 1.
   *
   * Default: `hedgeDefaults.minimumCalls` (50), or 1 / `maxExtraLoad` if that is more: of fewer, the
   * share would be less than one.
   */
  readonly minimumCalls?: number | undefined;
  /**
   * What the observed delay looks back on: `{ duration }` in milliseconds, above 0.
   *
   * @defaultValue `hedgeDefaults.window` (`{ duration: 30_000 }`)
   */
  readonly window?: { readonly duration: number } | undefined;
  /**
   * What hedges are taken out of, beside `maxExtraLoad`: a budget that may be shared with retries and
   * other hedges; `false` for none.
   *
   * Default: with `delay` a `retryBudget()` of its own, otherwise none; in `standard` that of the retry.
   */
  readonly budget?: AttemptBudget | false | undefined;
  /**
   * Whether running the operation twice does no harm, for calls that don't say so themselves. Other
   * calls pass through as if there were no hedge.
   *
   * @defaultValue `hedgeDefaults.idempotent` (false)
   */
  readonly idempotent?: boolean | undefined;
  /**
   * What to do for work that somebody further out repeats: `'once'` passes it through, `'repeat'`
   * hedges it as well. Only an ambient context tells of it, such as that of `@resil/context`.
   *
   * @defaultValue `hedgeDefaults.whenNested` (`'once'`)
   */
  readonly whenNested?: 'once' | 'repeat' | undefined;
  /** Tells which outcomes are failures, and which may be repeated. Default: that of the pipeline. */
  readonly classify?: Classify | undefined;
  /** Name in events. @defaultValue `'hedge'` */
  readonly name?: string | undefined;
  /** Source of time. Default: that of the pipeline. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link hedge}. */
export const hedgeDefaults: {
  readonly maxExtraLoad: number;
  readonly maxHedges: number;
  readonly minDelay: number;
  readonly minimumCalls: number;
  readonly window: { readonly duration: number };
  readonly idempotent: boolean;
  readonly whenNested: 'once';
  readonly name: string;
} = Object.freeze({
  maxExtraLoad: 0.02,
  maxHedges: 1,
  minDelay: 1,
  minimumCalls: 50,
  window: Object.freeze({ duration: 30_000 }),
  idempotent: false,
  whenNested: 'once',
  name: 'hedge',
});

const rules: OptionRules<HedgeOptions> = {
  maxExtraLoad: ratioRule,
  delay: durationRule(0, true),
  maxHedges: countRule(1),
  minDelay: durationRule(),
  minimumCalls: countRule(1),
  window: objectRule('{ duration } (milliseconds above 0)', (value) =>
    positiveDurationRule().test(value.duration),
  ),
  budget: eitherRule(oneOfRule(false), budgetRule),
  idempotent: booleanRule,
  whenNested: oneOfRule('once', 'repeat'),
  classify: functionRule,
  name: nameRule,
  clock: clockRule,
};

/** What makes or limits an observed delay, and has no meaning beside a given one. */
const OBSERVED = ['maxExtraLoad', 'minDelay', 'minimumCalls', 'window'] as const;

/** Runs a second copy of a slow call. Shared by all calls to one dependency, whose latency it observes. */
export class Hedge extends SingleLayer implements Strategy {
  readonly name: string;
  readonly clock: Clock | undefined;
  readonly #idempotent: boolean;
  readonly #whenNested: 'once' | 'repeat';
  readonly #state: HedgeState;
  readonly #options: JsonRecord;

  /** @throws {@link InvalidOptionError} */
  constructor(options: HedgeOptions = {}) {
    super();
    checkOptions('hedge', options, rules);
    const defaults = hedgeDefaults;
    const { budget, delay, clock } = options;
    if (delay !== undefined) checkAlone(options);
    this.name = options.name ?? defaults.name;
    this.clock = clock ?? (budget === false ? undefined : budget?.clock);
    this.#idempotent = options.idempotent ?? defaults.idempotent;
    this.#whenNested = options.whenNested ?? defaults.whenNested;
    const maxHedges = options.maxHedges ?? defaults.maxHedges;
    const { classify } = options;
    const observed = resolveObserved(options);
    this.#options = jsonRecord({
      ...(delay === undefined ? observed : { delay }),
      maxHedges,
      idempotent: this.#idempotent,
      whenNested: this.#whenNested,
      classify,
    });
    this.#state = {
      name: this.name,
      maxHedges,
      classify,
      calls: 0,
      hedges: 0,
      wins: 0,
      ...(delay === undefined
        ? {
            delay: new ObservedDelay({ ...observed, clock }),
            cap: new ExtraLoadCap(this.name, observed.maxExtraLoad),
            budget: budget || undefined,
          }
        : {
            delay: new FixedDelay(delay),
            cap: undefined,
            budget: budget === false ? undefined : (budget ?? retryBudget({ clock })),
          }),
    };
  }

  /** Milliseconds after which the next call's hedge would start; `Infinity` while that is not known. */
  get delay(): number {
    return this.#state.delay.latest;
  }

  /** Calls that could be hedged. */
  get calls(): number {
    return this.#state.calls;
  }

  /** Hedges that were started. */
  get hedges(): number {
    return this.#state.hedges;
  }

  /** Hedges that gave the answer. */
  get wins(): number {
    return this.#state.wins;
  }

  describe(): LayerDescription {
    const { delay, budget, calls, hedges, wins } = this.#state;
    return {
      type: 'hedge',
      name: this.name,
      options: this.#options,
      state: jsonRecord({
        delay: delay.latest,
        budget: budget === undefined ? false : describeBudget(budget),
      }),
      counters: { calls, hedges, wins },
    };
  }

  run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T> {
    if (!(call.idempotent ?? this.#idempotent) || this.#isNested(call)) return next(call);
    return new HedgedRun(this.#state, call as CallState, next).start();
  }

  /** Whether somebody further out repeats what this hedge would. */
  #isNested(call: Call): boolean {
    return this.#whenNested === 'once' && (call as CallState).root.ambient?.retried === true;
  }
}

/**
 * A hedge.
 *
 * @returns A layer; the first answer comes out, or the last outcome if all attempts fail. The others
 *   are aborted with a {@link HedgeLostError} as reason.
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { hedge } from '@resil/core';
 *
 * const reads = hedge({ maxExtraLoad: 0.02 });
 * await reads.execute(async ({ signal }) => (signal.aborted ? 'lost' : 'answer'), { idempotent: true });
 * ```
 */
export function hedge(options: HedgeOptions = {}): Hedge {
  return new Hedge(options);
}

function resolveObserved(options: HedgeOptions): Omit<ObservedDelaySettings, 'clock'> {
  const defaults = hedgeDefaults;
  const maxExtraLoad = options.maxExtraLoad ?? defaults.maxExtraLoad;
  return {
    maxExtraLoad,
    minDelay: options.minDelay ?? defaults.minDelay,
    minimumCalls:
      options.minimumCalls ?? Math.max(defaults.minimumCalls, Math.ceil(1 / maxExtraLoad)),
    window: options.window ?? defaults.window,
  };
}

function checkAlone(options: HedgeOptions): void {
  for (const name of OBSERVED) {
    if (options[name] === undefined) continue;
    throw new InvalidOptionError(
      `hedge.${name}`,
      options[name],
      'must be left out where delay is given',
    );
  }
}
