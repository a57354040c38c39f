/**
 * The standard pipeline: what protects a call to another service, with numbers that are safe in
 * production, and a check that the numbers make sense together.
 *
 *   fallback > total timeout > retry with a budget > hedge > circuit breaker > bulkhead > attempt timeout
 *
 * With `failover`, the last three are each endpoint's own, and the failover stands before them.
 *
 * The order is that of Microsoft.Extensions.Http.Resilience with the bulkhead moved inside the retry,
 * so that a call in its backoff holds no permit; its two rules (attempt timeout within the total,
 * breaker window of at least two attempt timeouts) are checked here too. A hedge is there only where it
 * is asked for.
 */
import { longestDelay } from './backoff.js';
import { type BulkheadOptions, bulkhead } from './bulkhead.js';
import { circuitBreaker } from './circuit-breaker.js';
import type { CircuitBreakerOptions } from './circuit-breaker-options.js';
import { type Clock, systemClock } from './clock.js';
import { type Dependency, dependencyRule } from './dependency.js';
import { failover } from './failover.js';
import type { FailoverOptions } from './failover-options.js';
import { type FallbackFunction, fallback } from './fallback.js';
import { type HedgeOptions, hedge } from './hedge.js';
import type { Layer } from './layer.js';
import type { Classify } from './outcome.js';
import { Pipeline } from './pipeline.js';
import type { Random } from './random.js';
import { type RetryOptions, retry, retryDefaults } from './retry.js';
import { retryBudget } from './retry-budget.js';
import { timeout } from './timeout.js';
import {
  checkOptions,
  clockRule,
  eitherRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  type OptionRules,
  objectRule,
  oneOfRule,
  positiveDurationRule,
} from './validate.js';

/** Options of {@link standard}. Each part can be overridden option by option, or switched off by `false`. */
export interface StandardOptions {
  /** Name in errors and events: that of the dependency. Default: none. */
  readonly name?: string | undefined;
  /** Key for events. Default: that of the call. */
  readonly key?: string | undefined;
  /**
   * Milliseconds for the whole call, retries and waiting included.
   *
   * @defaultValue `standardDefaults.totalTimeout` (10,000), or `attemptTimeout` if that is longer
   */
  readonly totalTimeout?: number | false | undefined;
  /**
   * Milliseconds for each attempt. At most `totalTimeout`.
   *
   * @defaultValue `standardDefaults.attemptTimeout` (3,000), or `totalTimeout` if that is shorter
   */
  readonly attemptTimeout?: number | false | undefined;
  /** Overrides of the retry; its budget is one of this pipeline's own unless it is given. */
  readonly retry?: RetryOptions | false | undefined;
  /**
   * A second copy of what is slow, for idempotent calls: options of a hedge, `{}` for its defaults. It
   * shares the budget of the retry unless it is given one.
   *
   * @defaultValue `false`
   */
  readonly hedge?: HedgeOptions | false | undefined;
  /** Overrides of the circuit breaker, on top of `standardDefaults.circuitBreaker`. */
  readonly circuitBreaker?: CircuitBreakerOptions | false | undefined;
  /** Overrides of the bulkhead, on top of `standardDefaults.bulkhead`. */
  readonly bulkhead?: BulkheadOptions | false | undefined;
  /** Answers failures and refusals. Default: none. */
  readonly fallback?: FallbackFunction | false | undefined;
  /** Tells which outcomes are failures, and which may be repeated. */
  readonly classify?: Classify | undefined;
  /** What the pipeline stands before, for tools. Default: not known. */
  readonly dependency?: Dependency | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Source of chance. Default: `Math.random`. */
  readonly random?: Random | undefined;
}

/** Failover as a part of {@link standard}, which gives the endpoints their layers. */
// biome-ignore lint/suspicious/noExplicitAny: the target's type is the user's own, in both variance positions
export type StandardFailoverOptions = Omit<FailoverOptions<any>, 'layers'>;

/** Options of {@link standard} for a service that has several endpoints. */
export interface StandardServiceOptions extends StandardOptions {
  /**
   * Endpoints that do the same work, each with a breaker, a bulkhead and an attempt timeout of its
   * own; `call.endpoint` tells the operation where it runs. Default: there is one, and it isn't known.
   */
  readonly failover?: StandardFailoverOptions | false | undefined;
}

/** Defaults of {@link standard}. */
export const standardDefaults: {
  readonly totalTimeout: number;
  readonly attemptTimeout: number;
  readonly circuitBreaker: {
    readonly failureRatio: number;
    readonly minimumCalls: number;
    readonly window: { readonly duration: number };
    readonly resetTimeout: number;
    readonly halfOpenCalls: number;
  };
  readonly bulkhead: {
    readonly maxConcurrentCalls: number;
    readonly maxQueueSize: number;
    readonly queueTimeout: number;
  };
} = Object.freeze({
  totalTimeout: 10_000,
  attemptTimeout: 3_000,
  circuitBreaker: Object.freeze({
    failureRatio: 0.5,
    minimumCalls: 10,
    window: Object.freeze({ duration: 30_000 }),
    resetTimeout: 5_000,
    halfOpenCalls: 3,
  }),
  bulkhead: Object.freeze({ maxConcurrentCalls: 100, maxQueueSize: 200, queueTimeout: 1_000 }),
});

const off = oneOfRule(false);
const partRule = eitherRule(objectRule('an options object'), off);
const limitRule = eitherRule(positiveDurationRule(), off);

/** What is allowed for each option of {@link standard}, for adapters whose options add to them. */
export const standardRules: OptionRules<StandardOptions> = {
  name: nameRule,
  key: nameRule,
  totalTimeout: limitRule,
  attemptTimeout: limitRule,
  retry: partRule,
  hedge: partRule,
  circuitBreaker: partRule,
  bulkhead: partRule,
  fallback: eitherRule(functionRule, off),
  classify: functionRule,
  dependency: dependencyRule,
  clock: clockRule,
  random: functionRule,
};

const serviceRules: OptionRules<StandardServiceOptions> = { ...standardRules, failover: partRule };

/**
 * The standard pipeline.
 *
 * @throws {@link InvalidOptionError} also for parts that contradict each other: an attempt timeout
 *   above the total, a breaker window under two attempt timeouts, retries whose delays can't fit in
 *   the total.
 * @example
 * ```ts
 * import { standard } from '@resil/core';
 *
 * const prices = standard({ name: 'prices', totalTimeout: 2_000, attemptTimeout: 500 });
 * await prices.execute(async ({ signal }) => (signal.aborted ? 'late' : 'in time'));
 * ```
 */
export function standard(options: StandardServiceOptions = {}): Pipeline {
  checkOptions('standard', options, serviceRules);
  const { name, key, classify, dependency, random } = options;
  const clock = options.clock ?? systemClock;
  const { totalTimeout, attemptTimeout } = timeoutsOf(options);
  const retryOptions = retryPart(options.retry, totalTimeout);
  const breakerOptions = breakerPart(options.circuitBreaker, attemptTimeout);
  checkTogether(totalTimeout, attemptTimeout, breakerOptions, retryOptions);
  const layers: Layer[] = [];
  if (options.fallback) layers.push(fallback(options.fallback));
  if (totalTimeout !== false)
    layers.push(timeout({ name: 'total timeout', duration: totalTimeout }));
  const budget =
    retryOptions === false ? undefined : (retryOptions.budget ?? retryBudget({ clock }));
  if (retryOptions !== false) layers.push(retry({ random, ...retryOptions, budget }));
  if (options.hedge)
    layers.push(hedge({ ...options.hedge, budget: options.hedge.budget ?? budget }));
  const guards = (guardName: string | undefined): Layer[] => {
    const own: Layer[] = [];
    if (breakerOptions !== false)
      own.push(circuitBreaker({ name: guardName, clock, ...breakerOptions }));
    if (options.bulkhead !== false)
      own.push(bulkhead({ name: guardName, ...standardDefaults.bulkhead, ...options.bulkhead }));
    if (attemptTimeout !== false)
      own.push(timeout({ name: 'attempt timeout', duration: attemptTimeout }));
    return own;
  };
  if (options.failover) {
    const perEndpoint = (endpoint: { readonly name: string }): Layer[] => guards(endpoint.name);
    layers.push(failover({ name, clock, random, ...options.failover, layers: perEndpoint }));
  } else layers.push(...guards(name));
  return new Pipeline({ name, key, classify, clock, dependency }, layers);
}

interface Timeouts {
  readonly totalTimeout: number | false;
  readonly attemptTimeout: number | false;
}

/** A timeout that is left out follows the one that is given. */
function timeoutsOf(options: StandardOptions): Timeouts {
  const { totalTimeout: defaultTotal, attemptTimeout: defaultAttempt } = standardDefaults;
  const attemptTimeout =
    options.attemptTimeout ?? Math.min(defaultAttempt, options.totalTimeout || Infinity);
  const totalTimeout = options.totalTimeout ?? Math.max(defaultTotal, attemptTimeout || 0);
  return { totalTimeout, attemptTimeout };
}

/** Delays that are left out leave time for the attempts. */
function retryPart(
  own: RetryOptions | false = {},
  totalTimeout: number | false,
): RetryOptions | false {
  if (own === false || totalTimeout === false || own.baseDelay !== undefined) return own;
  const baseDelay = Math.min(retryDefaults.baseDelay, totalTimeout / 10, own.maxDelay ?? Infinity);
  return { ...own, baseDelay };
}

function breakerPart(
  own: CircuitBreakerOptions | false = {},
  attemptTimeout: number | false,
): CircuitBreakerOptions | false {
  if (own === false) return false;
  const { window, ...defaults } = standardDefaults.circuitBreaker;
  // A breaker that goes by consecutive failures takes nothing of what goes by ratio.
  if (own.failureThreshold !== undefined) {
    const { resetTimeout, halfOpenCalls } = defaults;
    return { resetTimeout, halfOpenCalls, ...own };
  }
  const duration = Math.max(window.duration, 2 * (attemptTimeout || 0));
  const minimumCalls = Math.min(defaults.minimumCalls, own.window?.calls ?? Infinity);
  return { ...defaults, minimumCalls, window: { duration }, ...own };
}

function checkTogether(
  totalTimeout: number | false,
  attemptTimeout: number | false,
  breaker: CircuitBreakerOptions | false,
  retryOptions: RetryOptions | false,
): void {
  if (totalTimeout !== false && attemptTimeout !== false && attemptTimeout > totalTimeout) {
    throw new InvalidOptionError(
      'standard.attemptTimeout',
      attemptTimeout,
      `must be at most totalTimeout (${totalTimeout})`,
    );
  }
  const window = breaker === false ? undefined : breaker.window?.duration;
  if (attemptTimeout !== false && window !== undefined && window < 2 * attemptTimeout) {
    throw new InvalidOptionError(
      'standard.circuitBreaker.window.duration',
      window,
      `must be at least two attempt timeouts (${2 * attemptTimeout})`,
    );
  }
  if (totalTimeout !== false && retryOptions !== false) checkDelays(totalTimeout, retryOptions);
}

/** The delays without their jitter must leave time for the attempts. */
function checkDelays(totalTimeout: number, options: RetryOptions): void {
  const { maxAttempts = retryDefaults.maxAttempts, backoff = retryDefaults.backoff } = options;
  if (maxAttempts === Infinity || typeof backoff === 'function') return;
  const baseDelay = options.baseDelay ?? retryDefaults.baseDelay;
  const maxDelay = options.maxDelay ?? Math.max(baseDelay, retryDefaults.maxDelay);
  let sum = 0;
  for (let attempt = 1; attempt < maxAttempts; attempt++) {
    sum += longestDelay({ baseDelay, maxDelay, backoff, jitter: 'none' }, attempt);
    if (sum < totalTimeout) continue;
    throw new InvalidOptionError(
      'standard.retry',
      options,
      `must have delays that fit in totalTimeout (${totalTimeout}); those before attempt ${attempt + 1} of ${maxAttempts} take up to ${sum} ms`,
    );
  }
}
