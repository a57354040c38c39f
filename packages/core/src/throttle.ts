/**
 * Throttle: refuses a growing share of the calls here while the dependency turns calls away there.
 *
 *   p = max(0, (requests - accepts / minSuccessRatio) / (requests + 1)) ^ (1 / aggression)
 *   a call is refused with probability min(p, maxRejectionRatio)
 *
 * over the calls of a window; `requests` counts what was refused here as well. Client-side throttling
 * of Google's "Site Reliability Engineering", chapter 21, whose K is 1 / `minSuccessRatio`; `aggression`
 * is that of Envoy's admission control. It has no states, so nothing to get stuck in: while the
 * dependency accepts A calls per second and more are wanted, about K × A go out, and as soon as it
 * accepts more, more go out. Unlike the book, `maxRejectionRatio` keeps a share of the calls going to a
 * dependency that accepts nothing, so that its return is noticed, and a call counts when it ends (as
 * in Envoy and failsafe-go), so that calls under way are not taken for failures.
 *
 * @see https://sre.google/sre-book/handling-overload/
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/admission_control_filter
 */
import type { Call } from './call.js';
import type { CallState } from './call-state.js';
import { type Clock, systemClock } from './clock.js';
import { jsonRecord, type LayerDescription } from './description.js';
import { ThrottledError } from './errors.js';
import { DurationWindow } from './failure-window.js';
import { type GuardMode, markOf, modeRule, type ObservedMark } from './guard-mode.js';
import { type Guard, permitOf, Refusal } from './layer.js';
import type { Classify, Outcome } from './outcome.js';
import { type Random, systemRandom } from './random.js';
import { SingleLayer } from './single-layer.js';
import {
  checkOptions,
  clockRule,
  countRule,
  functionRule,
  nameRule,
  numberRule,
  type OptionRules,
  objectRule,
  positiveDurationRule,
  ratioRule,
} from './validate.js';
import { verdictOf } from './verdict.js';

/** Options of {@link throttle}. */
export interface ThrottleOptions {
  /**
   * Share of the calls that must be accepted; as long as it is, no call is refused.
   *
   * Ratio in (0, 1]; 1 / K of the book. With 0.5 about as many calls are turned away by the dependency
   * as it accepts, with 0.9 one for nine.
   *
   * @defaultValue `throttleDefaults.minSuccessRatio` (0.5)
   */
  readonly minSuccessRatio?: number | undefined;
  /**
   * Share of the calls that is refused at most.
   *
   * Ratio in (0, 1]; with 1 a dependency that accepts nothing is hardly called until the window is over.
   *
   * @defaultValue `throttleDefaults.maxRejectionRatio` (0.9)
   */
  readonly maxRejectionRatio?: number | undefined;
  /**
   * How steeply the probability rises once too few calls are accepted.
   *
   * At least 1: as in the book. More refuses sooner: p to the power of 1 / `aggression`.
   *
   * @defaultValue `throttleDefaults.aggression` (1)
   */
  readonly aggression?: number | undefined;
  /**
   * Calls that must be in the window before any is refused.
   *
   * At least 0: as in the book, where one failed call refuses the next with probability 0.5.
   *
   * @defaultValue `throttleDefaults.minimumCalls` (10)
   */
  readonly minimumCalls?: number | undefined;
  /**
   * What it looks back on: `{ duration }` in milliseconds, above 0.
   *
   * @defaultValue `throttleDefaults.window` (`{ duration: 120_000 }`)
   */
  readonly window?: { readonly duration: number } | undefined;
  /** Tells which outcomes are failures, that is, not accepted. Default: that of the pipeline. */
  readonly classify?: Classify | undefined;
  /**
   * Whether calls are refused, or only told to be (`'observe'`): what would have been refused counts as
   * if it were, and how it then ends counts for nothing.
   *
   * @defaultValue `throttleDefaults.mode` (`'enforce'`)
   */
  readonly mode?: GuardMode | undefined;
  /** Source of chance. Default: `Math.random`. */
  readonly random?: Random | undefined;
  /** Name in errors and events. @defaultValue `'throttle'` */
  readonly name?: string | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link throttle}: K and window of the book, the cap of failsafe-go. */
export const throttleDefaults: {
  readonly minSuccessRatio: number;
  readonly maxRejectionRatio: number;
  readonly aggression: number;
  readonly minimumCalls: number;
  readonly window: { readonly duration: number };
  readonly mode: 'enforce';
  readonly name: string;
} = Object.freeze({
  minSuccessRatio: 0.5,
  maxRejectionRatio: 0.9,
  aggression: 1,
  minimumCalls: 10,
  window: Object.freeze({ duration: 120_000 }),
  mode: 'enforce',
  name: 'throttle',
});

const rules: OptionRules<ThrottleOptions> = {
  minSuccessRatio: ratioRule,
  maxRejectionRatio: ratioRule,
  aggression: numberRule(1),
  minimumCalls: countRule(0),
  window: objectRule('{ duration } (milliseconds above 0)', (value) =>
    positiveDurationRule().test(value.duration),
  ),
  classify: functionRule,
  mode: modeRule,
  random: functionRule,
  name: nameRule,
  clock: clockRule,
};

/** The counter of each kind of outcome. */
const COUNTERS = { success: 'succeeded', failure: 'failed', ignored: 'ignored' } as const;

/** Refuses calls by chance while too few are accepted. An instance stands for one dependency and is shared by all calls to it. */
export class Throttle extends SingleLayer implements Guard<ObservedMark | undefined> {
  readonly name: string;
  readonly clock: Clock;
  /** @internal */
  readonly ignoresDuration: boolean;
  readonly #minSuccessRatio: number;
  readonly #maxRejectionRatio: number;
  readonly #exponent: number;
  readonly #minimumCalls: number;
  readonly #window: DurationWindow;
  readonly #classify: Classify | undefined;
  readonly #mode: GuardMode;
  readonly #mark: ObservedMark;
  readonly #random: Random;
  readonly #counters = { succeeded: 0, failed: 0, ignored: 0, rejected: 0, observed: 0 };

  /** @throws {@link InvalidOptionError} */
  constructor(options: ThrottleOptions = {}) {
    super();
    checkOptions('throttle', options, rules);
    const { window } = options;
    this.name = options.name ?? throttleDefaults.name;
    this.clock = options.clock ?? systemClock;
    this.ignoresDuration = options.classify === undefined;
    this.#minSuccessRatio = options.minSuccessRatio ?? throttleDefaults.minSuccessRatio;
    this.#maxRejectionRatio = options.maxRejectionRatio ?? throttleDefaults.maxRejectionRatio;
    this.#exponent = 1 / (options.aggression ?? throttleDefaults.aggression);
    this.#minimumCalls = options.minimumCalls ?? throttleDefaults.minimumCalls;
    this.#window = new DurationWindow((window ?? throttleDefaults.window).duration);
    this.#classify = options.classify;
    this.#mode = options.mode ?? throttleDefaults.mode;
    this.#mark = markOf(this.#mode);
    this.#random = options.random ?? systemRandom;
  }

  /** The probability at this moment that a call is refused, from 0 to `maxRejectionRatio`. */
  get rejectionRatio(): number {
    return this.#rejectionRatio(this.clock.now());
  }

  describe(): LayerDescription {
    const now = this.clock.now();
    const { calls, failures } = this.#window.counts(now);
    return {
      type: 'throttle',
      name: this.name,
      options: jsonRecord({
        minSuccessRatio: this.#minSuccessRatio,
        maxRejectionRatio: this.#maxRejectionRatio,
        aggression: 1 / this.#exponent,
        minimumCalls: this.#minimumCalls,
        window: { duration: this.#window.duration },
        mode: this.#mode,
        classify: this.#classify,
      }),
      state: { rejectionRatio: this.#rejectionRatio(now), window: { calls, failures } },
      counters: { ...this.#counters },
    };
  }

  enter(call: Call): ObservedMark | undefined {
    return permitOf(this.tryEnter(call));
  }

  /** @internal */
  tryEnter(call: Call): ObservedMark | undefined | Refusal {
    const now = call.now();
    const rejectionRatio = this.#rejectionRatio(now);
    if (rejectionRatio === 0 || this.#random() >= rejectionRatio) return undefined;
    this.#window.record(now, true, false);
    if (call.observed) {
      const { name: strategy } = this;
      call.emit({ type: 'throttle.rejected', strategy, rejectionRatio, ...this.#mark });
    }
    if (this.#mode === 'observe') {
      this.#counters.observed++;
      return this.#mark;
    }
    this.#counters.rejected++;
    return new Refusal(new ThrottledError(this.name, rejectionRatio));
  }

  leave(permit: ObservedMark | undefined, call: Call, outcome: Outcome): void {
    // It counted when it came, as if it had been refused.
    if (permit !== undefined) return;
    const classify = this.#classify ?? (call as CallState).scope.classify;
    const kind =
      outcome.ok && classify === undefined ? 'success' : verdictOf(classify, outcome, call).kind;
    this.#counters[COUNTERS[kind]]++;
    if (kind !== 'ignored') this.#window.record(this.clock.now(), kind === 'failure', false);
  }

  #rejectionRatio(now: number): number {
    const { calls, failures } = this.#window.counts(now);
    if (failures === 0 || calls < this.#minimumCalls) return 0;
    const surplus = (calls - (calls - failures) / this.#minSuccessRatio) / (calls + 1);
    if (surplus <= 0) return 0;
    return Math.min(this.#maxRejectionRatio, surplus ** this.#exponent);
  }
}

/**
 * A throttle.
 *
 * @returns A layer; it refuses with {@link ThrottledError} (`RESIL_THROTTLED`).
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { throttle } from '@resil/core';
 *
 * const search = throttle({ minSuccessRatio: 0.5, maxRejectionRatio: 0.9 });
 * await search.execute(async () => `${search.rejectionRatio * 100} % refused`);
 * ```
 */
export function throttle(options: ThrottleOptions = {}): Throttle {
  return new Throttle(options);
}
