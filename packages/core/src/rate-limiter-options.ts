/** Options of the rate limiter, and what a server can say about its own limits. */
import type { Call } from './call.js';
import type { Clock } from './clock.js';
import { type GuardMode, modeRule } from './guard-mode.js';
import type { Classify, Outcome } from './outcome.js';
import {
  clockRule,
  countRule,
  durationRule,
  functionRule,
  nameRule,
  type OptionRules,
  positiveDurationRule,
} from './validate.js';

/** One quota that a server tells of: what is left of it, and its policy. */
export interface RateQuota {
  /** Calls that are left, at least 0. */
  readonly remaining: number;
  /** Milliseconds until there are more. Default: not known. */
  readonly resetDelay?: number | undefined;
  /** Calls that the policy allows in its interval. Default: not known. */
  readonly maxCalls?: number | undefined;
  /** The policy's interval in milliseconds. Default: not known. */
  readonly interval?: number | undefined;
}

/** What a server says about its limits. */
export interface RateHint {
  /** Milliseconds until it wants to be called again. Goes before the quotas. */
  readonly retryAfter?: number | undefined;
  /** Its quotas; all of them hold. */
  readonly quotas?: readonly RateQuota[] | undefined;
}

/** Options of {@link rateLimiter}. */
export interface RateLimiterOptions {
  /**
   * Calls that may go in an `interval`.
   *
   * At least 1.
   *
   * @defaultValue `rateLimiterDefaults.maxCalls` (100)
   */
  readonly maxCalls?: number | undefined;
  /**
   * Milliseconds that `maxCalls` are for; above 0.
   *
   * @defaultValue `rateLimiterDefaults.interval` (1,000)
   */
  readonly interval?: number | undefined;
  /**
   * Calls that may go at once after a pause.
   *
   * At least 1: smooth, no two calls are closer than `interval / maxCalls`, so that no span of an
   * `interval` holds more than `maxCalls`. More lets bursts through: a span of an `interval` then holds
   * up to `burstSize + maxCalls - 1`.
   *
   * @defaultValue `rateLimiterDefaults.burstSize` (1)
   */
  readonly burstSize?: number | undefined;
  /**
   * Calls that may wait for their turn; 0 refuses at once.
   *
   * @defaultValue `rateLimiterDefaults.maxQueueSize` (100)
   */
  readonly maxQueueSize?: number | undefined;
  /**
   * Milliseconds a call may wait for its turn; `Infinity` for as long as its deadline allows. A call
   * whose turn is further away is refused when it comes.
   *
   * @defaultValue `rateLimiterDefaults.queueTimeout` (1,000)
   */
  readonly queueTimeout?: number | undefined;
  /**
   * Longest pause in milliseconds that a server may ask for, and longest time for which it may slow
   * calls down; a longer one is cut to it. `Infinity` for any.
   *
   * @defaultValue `rateLimiterDefaults.maxRetryAfter` (30,000)
   */
  readonly maxRetryAfter?: number | undefined;
  /** Tells the verdict, whose `retryAfter` is a pause for all calls. Default: that of the pipeline. */
  readonly classify?: Classify | undefined;
  /**
   * Reads what the server said about its limits out of an outcome (RateLimit header fields); what it
   * gives is handed to `slowDown`. Must be synchronous. Default: none.
   */
  readonly hint?: ((outcome: Outcome, call: Call) => RateHint | undefined) | undefined;
  /**
   * Whether calls wait and are refused, or all go at once and it is only told (`'observe'`): who would
   * wait takes a turn, who would be refused none. Of those who would wait, none is taken to give up.
   *
   * @defaultValue `rateLimiterDefaults.mode` (`'enforce'`)
   */
  readonly mode?: GuardMode | undefined;
  /** Name in errors and events. @defaultValue `'rate-limiter'` */
  readonly name?: string | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link rateLimiter}. */
export const rateLimiterDefaults: {
  readonly maxCalls: number;
  readonly interval: number;
  readonly burstSize: number;
  readonly maxQueueSize: number;
  readonly queueTimeout: number;
  readonly maxRetryAfter: number;
  readonly mode: 'enforce';
  readonly name: string;
} = Object.freeze({
  maxCalls: 100,
  interval: 1_000,
  burstSize: 1,
  maxQueueSize: 100,
  queueTimeout: 1_000,
  maxRetryAfter: 30_000,
  mode: 'enforce',
  name: 'rate-limiter',
});

/** What is allowed for each option. */
export const rateLimiterRules: OptionRules<RateLimiterOptions> = {
  maxCalls: countRule(1),
  interval: positiveDurationRule(),
  burstSize: countRule(1),
  maxQueueSize: countRule(0),
  queueTimeout: durationRule(0, true),
  maxRetryAfter: positiveDurationRule(true),
  classify: functionRule,
  hint: functionRule,
  mode: modeRule,
  name: nameRule,
  clock: clockRule,
};

/** What quotas ask of a limiter together. */
export interface QuotaDemand {
  /** Milliseconds in which nobody may go; 0 for none. */
  readonly pause: number;
  /** Milliseconds between two calls; 0 if the limiter's own pace will do. */
  readonly pace: number;
  /** Milliseconds for which the pace holds. */
  readonly duration: number;
}

/**
 * What the quotas ask of a limiter of this pace and burst size: a pause until the last exhausted one is
 * filled again, and else the slowest pace, min(remaining / reset, policy) of each, unless what the
 * limiter lets go by itself stays below.
 */
export function slowestQuota(
  quotas: readonly RateQuota[],
  ownPace: number,
  burstSize: number,
): QuotaDemand {
  let pause = 0;
  let pace = 0;
  let duration = 0;
  for (const quota of quotas) {
    const reset = positive(quota.resetDelay);
    if (quota.remaining === 0) {
      pause = Math.max(pause, reset);
      continue;
    }
    if (!(quota.remaining > 0)) continue;
    const interval = positive(quota.interval);
    const policy = interval / (positive(quota.maxCalls) || Infinity);
    const asked = Math.max(reset / quota.remaining, policy);
    // What would go by itself until the reset: the burst, and one for each pace.
    const tooMany = reset > 0 && burstSize - 1 + reset / ownPace > quota.remaining;
    if (asked <= ownPace && !tooMany) continue;
    pace = Math.max(pace, asked, ownPace);
    duration = Math.max(duration, reset || interval);
  }
  return { pause, pace, duration };
}

function positive(value: number | undefined): number {
  return value !== undefined && value > 0 && value < Infinity ? value : 0;
}
