/** Options, states and snapshots of the circuit breaker, and what makes options acceptable. */
import { type Clock, systemClock } from './clock.js';
import { type JsonRecord, jsonRecord } from './description.js';
import type { WindowSnapshot } from './failure-window.js';
import type { FallbackFunction } from './fallback.js';
import { type GuardMode, modeRule } from './guard-mode.js';
import type { Classify } from './outcome.js';
import {
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
  positiveDurationRule,
  ratioRule,
} from './validate.js';

/** State of a circuit breaker. */
export type CircuitState = 'closed' | 'open' | 'half-open' | 'isolated';

/** What a breaker looks back on: the latest so many calls, or the calls of the latest so many milliseconds. */
export type CircuitWindow =
  | { readonly calls: number; readonly duration?: undefined }
  | { readonly duration: number; readonly calls?: undefined };

/** Options of {@link circuitBreaker}. */
export interface CircuitBreakerOptions {
  /**
   * Consecutive failures at which the circuit opens.
   *
   * At least 1. With it the circuit goes by consecutive failures, and `failureRatio`,
   * `minimumCalls`, `window` and the slow-call options are not allowed.
   */
  readonly failureThreshold?: number | undefined;
  /**
   * Share of failed calls in the window at which the circuit opens.
   *
   * Ratio in (0, 1]; not consulted before `minimumCalls` outcomes are in the window. While half-open
   * it applies to the `halfOpenCalls` probes.
   *
   * @defaultValue `circuitBreakerDefaults.failureRatio` (0.5)
   */
  readonly failureRatio?: number | undefined;
  /**
   * Outcomes that must be in the window before a ratio counts.
   *
   * At least 1, and at most the window's `calls`.
   *
   * @defaultValue `circuitBreakerDefaults.minimumCalls` (10)
   */
  readonly minimumCalls?: number | undefined;
  /**
   * What the ratios look back on: `{ calls }` (1 to 10,000,000) or `{ duration }` in milliseconds.
   *
   * @defaultValue `circuitBreakerDefaults.window` (`{ duration: 30_000 }`)
   */
  readonly window?: CircuitWindow | undefined;
  /** Milliseconds from which a call counts as slow, whether it fails or not. Default: no call is slow. */
  readonly slowCallDuration?: number | undefined;
  /**
   * Share of slow calls in the window at which the circuit opens. Needs `slowCallDuration`.
   *
   * @defaultValue `circuitBreakerDefaults.slowCallRatio` (1)
   */
  readonly slowCallRatio?: number | undefined;
  /**
   * Milliseconds the circuit stays open before it lets a probe through; a function gets the number of
   * openings in a row, counting from 1.
   *
   * @defaultValue `circuitBreakerDefaults.resetTimeout` (30,000)
   */
  readonly resetTimeout?: number | ((openings: number) => number) | undefined;
  /**
   * Probes let through while half-open; the circuit closes when so many have ended and too few of
   * them failed. With `failureThreshold` one failed probe opens it again.
   *
   * @defaultValue `circuitBreakerDefaults.halfOpenCalls` (1)
   */
  readonly halfOpenCalls?: number | undefined;
  /**
   * Milliseconds after which the place of a probe that has not ended is given to another.
   *
   * @defaultValue `circuitBreakerDefaults.probeTimeout` (30,000)
   */
  readonly probeTimeout?: number | undefined;
  /** Tells which outcomes are failures. Default: that of the pipeline. */
  readonly classify?: Classify | undefined;
  /** Answers failures and refusals: a `fallback` outside of the breaker. Default: none. */
  readonly fallbackFn?: FallbackFunction | undefined;
  /**
   * With `'observe'` it goes through its states as ever and tells what it would have refused, but lets
   * those calls run too, `isolate()` or not; how they end counts for nothing, as if they had not run.
   *
   * @defaultValue `circuitBreakerDefaults.mode` (`'enforce'`)
   */
  readonly mode?: GuardMode | undefined;
  /** What `snapshot()` of an earlier breaker gave. Default: starts closed and empty. */
  readonly snapshot?: CircuitSnapshot | undefined;
  /** Name in errors and events: that of the dependency. @defaultValue `'circuit-breaker'` */
  readonly name?: string | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** A breaker's state as JSON. */
export interface CircuitSnapshot {
  readonly version: 1;
  /** When it was taken, in milliseconds since 1970 (on a clock without `epoch`: its `now()`). */
  readonly takenAt: number;
  readonly state: 'closed' | 'open' | 'isolated';
  /** Openings in a row since the circuit was last closed. */
  readonly openings: number;
  /** Milliseconds until a probe is allowed, if open; `null` if none ever is. */
  readonly remaining: number | null;
  readonly consecutiveFailures: number;
  readonly window: WindowSnapshot | undefined;
}

/** Defaults of {@link circuitBreaker}. */
export const circuitBreakerDefaults: {
  readonly failureRatio: number;
  readonly minimumCalls: number;
  readonly window: CircuitWindow;
  readonly slowCallRatio: number;
  readonly resetTimeout: number;
  readonly halfOpenCalls: number;
  readonly probeTimeout: number;
  readonly mode: 'enforce';
  readonly name: string;
} = Object.freeze({
  failureRatio: 0.5,
  minimumCalls: 10,
  window: Object.freeze({ duration: 30_000 }),
  slowCallRatio: 1,
  resetTimeout: 30_000,
  halfOpenCalls: 1,
  probeTimeout: 30_000,
  mode: 'enforce',
  name: 'circuit-breaker',
});

/** Options with every default in place; a limit that does not apply can't be reached. */
export interface ResolvedCircuitBreakerOptions {
  readonly failureThreshold: number;
  readonly failureRatio: number;
  readonly minimumCalls: number;
  readonly window: CircuitWindow | undefined;
  /** Whether outcomes need the time at which they ended. */
  readonly timed: boolean;
  readonly slowCallDuration: number;
  readonly slowCallRatio: number;
  readonly resetTimeout: number | ((openings: number) => number);
  /** Taken when the function given for `resetTimeout` fails. */
  readonly fallbackResetTimeout: number;
  readonly halfOpenCalls: number;
  readonly probeTimeout: number;
  readonly classify: Classify | undefined;
  readonly mode: GuardMode;
  readonly name: string;
  readonly clock: Clock;
}

const MAX_WINDOW_CALLS = 10_000_000;

const windowRule = objectRule(
  '{ calls } (a whole number from 1 to 10,000,000) or { duration } (milliseconds above 0)',
  (value) => {
    const names = Object.keys(value).filter((name) => value[name] !== undefined);
    if (names.length !== 1) return false;
    return names[0] === 'calls'
      ? countRule(1).test(value.calls) && (value.calls as number) <= MAX_WINDOW_CALLS
      : positiveDurationRule().test(value.duration);
  },
);

const snapshotRule = objectRule(
  'what snapshot() gave, version 1',
  (value) =>
    value.version === 1 &&
    ['closed', 'open', 'isolated'].includes(value.state as string) &&
    [value.takenAt, value.openings, value.remaining ?? 0, value.consecutiveFailures].every(
      Number.isFinite,
    ) &&
    (value.window === undefined || isWindowSnapshot(value.window)),
);

function isWindowSnapshot(value: unknown): boolean {
  return (
    typeof value === 'object' && value !== null && Array.isArray((value as WindowSnapshot).entries)
  );
}

const rules: OptionRules<CircuitBreakerOptions> = {
  failureThreshold: countRule(1),
  failureRatio: ratioRule,
  minimumCalls: countRule(1),
  window: windowRule,
  slowCallDuration: positiveDurationRule(true),
  slowCallRatio: ratioRule,
  resetTimeout: eitherRule(durationRule(0, true), functionRule),
  halfOpenCalls: countRule(1),
  probeTimeout: positiveDurationRule(true),
  classify: functionRule,
  fallbackFn: functionRule,
  mode: modeRule,
  snapshot: snapshotRule,
  name: nameRule,
  clock: clockRule,
};

const RATIO_OPTIONS = [
  'failureRatio',
  'minimumCalls',
  'window',
  'slowCallDuration',
  'slowCallRatio',
] as const;

/**
 * Checks the options and fills in the defaults.
 *
 * @throws {@link InvalidOptionError}
 */
export function resolveCircuitBreakerOptions(
  options: CircuitBreakerOptions,
): ResolvedCircuitBreakerOptions {
  checkOptions('circuitBreaker', options, rules);
  const defaults = circuitBreakerDefaults;
  const consecutive = options.failureThreshold !== undefined;
  if (consecutive) {
    for (const name of RATIO_OPTIONS) {
      if (options[name] === undefined) continue;
      throw new InvalidOptionError(
        `circuitBreaker.${name}`,
        options[name],
        'must be left out where failureThreshold is given',
      );
    }
  }
  if (options.slowCallRatio !== undefined && options.slowCallDuration === undefined) {
    throw new InvalidOptionError(
      'circuitBreaker.slowCallRatio',
      options.slowCallRatio,
      'needs slowCallDuration',
    );
  }
  const window = consecutive ? undefined : (options.window ?? defaults.window);
  const mostCalls = window?.calls ?? Infinity;
  const minimumCalls = options.minimumCalls ?? Math.min(defaults.minimumCalls, mostCalls);
  if (minimumCalls > mostCalls) {
    throw new InvalidOptionError(
      'circuitBreaker.minimumCalls',
      minimumCalls,
      `must be at most window.calls (${mostCalls})`,
    );
  }
  const halfOpenCalls = options.halfOpenCalls ?? defaults.halfOpenCalls;
  return {
    failureThreshold: options.failureThreshold ?? Infinity,
    // One failed probe is enough where failures are counted in a row.
    failureRatio: consecutive ? Number.MIN_VALUE : (options.failureRatio ?? defaults.failureRatio),
    minimumCalls,
    window,
    timed: window?.duration !== undefined,
    slowCallDuration: options.slowCallDuration ?? Infinity,
    slowCallRatio:
      options.slowCallDuration === undefined
        ? Infinity
        : (options.slowCallRatio ?? defaults.slowCallRatio),
    resetTimeout: options.resetTimeout ?? defaults.resetTimeout,
    fallbackResetTimeout: defaults.resetTimeout,
    halfOpenCalls,
    probeTimeout: options.probeTimeout ?? defaults.probeTimeout,
    classify: options.classify,
    mode: options.mode ?? defaults.mode,
    name: options.name ?? defaults.name,
    clock: options.clock ?? systemClock,
  };
}

/** The options that a breaker goes by, as JSON. */
export function describeCircuitBreakerOptions(options: ResolvedCircuitBreakerOptions): JsonRecord {
  const { resetTimeout, halfOpenCalls, probeTimeout, classify, mode } = options;
  const common = { resetTimeout, halfOpenCalls, probeTimeout, classify, mode };
  const { failureThreshold, failureRatio, minimumCalls, window } = options;
  if (window === undefined) return jsonRecord({ failureThreshold, ...common });
  const { slowCallDuration, slowCallRatio } = options;
  const slow = slowCallDuration === Infinity ? {} : { slowCallDuration, slowCallRatio };
  return jsonRecord({ failureRatio, minimumCalls, window, ...slow, ...common });
}
