/** Options of the adaptive limiter, and what makes them acceptable. */
import type { Call } from './call.js';
import type { Clock } from './clock.js';
import { type JsonRecord, jsonRecord } from './description.js';
import { gradient } from './gradient.js';
import { gradient2 } from './gradient2.js';
import { type GuardMode, modeRule } from './guard-mode.js';
import type { LimitAlgorithm, LimitBounds } from './limit-algorithm.js';
import { aimd, vegas } from './limit-algorithms.js';
import type { Classify, Outcome } from './outcome.js';
import {
  type EarlyRejectionOptions,
  earlyRejectionDefaults,
  type QueueDiscipline,
} from './queue-order.js';
import type { Random } from './random.js';
import { type SampleWindowOptions, sampleWindowDefaults } from './sample-window.js';
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
  numberRule,
  type OptionRules,
  objectRule,
  oneOfRule,
  positiveDurationRule,
} from './validate.js';

/** A part of the calls with a share of the limit of its own. */
export interface LimiterPartition {
  /** Name in `partitions` and events. */
  readonly name: string;
  /**
   * Share of the limit that is always the partition's own: at least one call, rounded up. What others
   * leave unused it may use too.
   *
   * Ratio in [0, 1]; those of all partitions add up to at most 1. Default: 0, only what is left over.
   */
  readonly guaranteedRatio?: number | undefined;
  /** Calls of at least this `priority` belong to it, unless to one before it. Default: any. */
  readonly minPriority?: number | undefined;
}

/** Options of {@link adaptiveLimiter}. */
export interface AdaptiveLimiterOptions {
  /**
   * Who estimates the limit: `'aimd'` by calls that are dropped (for clients), `'vegas'`, `'gradient'`
   * (Envoy's) or `'gradient2'` by how long calls take, or one made by `aimd()`, `vegas()`, `gradient()`,
   * `gradient2()` or yourself, which then brings its own bounds.
   *
   * @defaultValue `adaptiveLimiterDefaults.algorithm` (`'aimd'`)
   */
  readonly algorithm?: 'aimd' | 'vegas' | 'gradient' | 'gradient2' | LimitAlgorithm | undefined;
  /** The limit to begin with. @defaultValue `adaptiveLimiterDefaults.initialLimit` (20) */
  readonly initialLimit?: number | undefined;
  /** The limit is never lower; at least 1. @defaultValue `adaptiveLimiterDefaults.minLimit` (1) */
  readonly minLimit?: number | undefined;
  /** The limit is never higher. @defaultValue `adaptiveLimiterDefaults.maxLimit` (200) */
  readonly maxLimit?: number | undefined;
  /**
   * Samples that are summed up before the algorithm sees them, or `false` for each by itself.
   *
   * @defaultValue `false` for `aimd`, else `{ minDuration: 1_000, maxDuration: 1_000, minimumCalls: 10 }`
   */
  readonly sampleWindow?: Partial<SampleWindowOptions> | false | undefined;
  /** Calls that may wait, all partitions together; 0 refuses at once. @defaultValue `adaptiveLimiterDefaults.maxQueueSize` (0) */
  readonly maxQueueSize?: number | undefined;
  /** Milliseconds a call may wait; `Infinity` for as long as its deadline allows. @defaultValue `adaptiveLimiterDefaults.queueTimeout` (1,000) */
  readonly queueTimeout?: number | undefined;
  /** In which order those who wait go. @defaultValue `adaptiveLimiterDefaults.queue` (`'fifo'`) */
  readonly queue?: QueueDiscipline | undefined;
  /** Milliseconds of waiting that `codel` and `adaptive-lifo` aim for. @defaultValue `adaptiveLimiterDefaults.targetDelay` (5) */
  readonly targetDelay?: number | undefined;
  /** Milliseconds after which a queue counts as standing. @defaultValue `adaptiveLimiterDefaults.queueInterval` (100) */
  readonly queueInterval?: number | undefined;
  /**
   * Refuses a share of the calls at random before the queue is full, the more the longer it is; `true` for
   * `earlyRejectionDefaults` (none up to twice the limit, all from three times the limit on).
   *
   * @defaultValue `adaptiveLimiterDefaults.earlyRejection` (`false`)
   */
  readonly earlyRejection?: EarlyRejectionOptions | boolean | undefined;
  /** Parts of the calls, the most important first. Calls of none come last, without a share of their own. Default: none. */
  readonly partitions?: readonly LimiterPartition[] | undefined;
  /** Tells the name of a call's partition. Default: by `priority`. */
  readonly partitionBy?: ((call: Call) => string) | undefined;
  /** Tells which outcomes are failures, and which are ignored. Default: that of the pipeline. */
  readonly classify?: Classify | undefined;
  /** Tells which failures are signs of overload; the others are ignored. Default: all of them. */
  readonly isOverload?: ((outcome: Outcome, call: Call) => boolean) | undefined;
  /**
   * Milliseconds that the event loop may stand still; calls that were in flight meanwhile took longer
   * for that, and their samples are dropped. `Infinity` keeps them.
   *
   * @defaultValue `adaptiveLimiterDefaults.stallDuration` (50)
   */
  readonly stallDuration?: number | undefined;
  /**
   * With `'observe'` it finds its limit as ever and tells who would have waited or been refused, but lets
   * every call run at once: `inFlight` may exceed the limit by as many as may wait. How a call ends that
   * would have been refused counts for nothing.
   *
   * @defaultValue `adaptiveLimiterDefaults.mode` (`'enforce'`)
   */
  readonly mode?: GuardMode | undefined;
  /** Source of chance, for algorithms named here and for early rejection. Default: `Math.random`. */
  readonly random?: Random | undefined;
  /** Name in errors and events. @defaultValue `'adaptive-limiter'` */
  readonly name?: string | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link adaptiveLimiter}. */
export const adaptiveLimiterDefaults: {
  readonly algorithm: 'aimd';
  readonly initialLimit: number;
  readonly minLimit: number;
  readonly maxLimit: number;
  readonly maxQueueSize: number;
  readonly queueTimeout: number;
  readonly queue: QueueDiscipline;
  readonly targetDelay: number;
  readonly queueInterval: number;
  readonly earlyRejection: false;
  readonly stallDuration: number;
  readonly mode: 'enforce';
  readonly name: string;
} = Object.freeze({
  algorithm: 'aimd',
  initialLimit: 20,
  minLimit: 1,
  maxLimit: 200,
  maxQueueSize: 0,
  queueTimeout: 1_000,
  queue: 'fifo',
  targetDelay: 5,
  queueInterval: 100,
  earlyRejection: false,
  stallDuration: 50,
  mode: 'enforce',
  name: 'adaptive-limiter',
});

const algorithmRule = eitherRule(
  oneOfRule('aimd', 'vegas', 'gradient', 'gradient2'),
  objectRule(
    'an algorithm (a finite estimate, update)',
    (value) => typeof value.update === 'function' && Number.isFinite(value.estimate),
  ),
);

const windowRule = eitherRule(
  oneOfRule(false),
  objectRule(
    '{ minDuration, maxDuration } (milliseconds above 0, in order) with { minimumCalls } (a whole number of at least 1)',
    (value) => {
      const merged = { ...sampleWindowDefaults, ...value };
      const known = Object.keys(value).every((name) => Object.hasOwn(sampleWindowDefaults, name));
      const durations = [merged.minDuration, merged.maxDuration];
      return (
        known &&
        durations.every((duration) => positiveDurationRule().test(duration)) &&
        merged.minDuration <= merged.maxDuration &&
        countRule(1).test(merged.minimumCalls)
      );
    },
  ),
);

const earlyRejectionRule = eitherRule(
  booleanRule,
  objectRule(
    'an object of minQueueFactor (at least 0) and a maxQueueFactor above it',
    ({ minQueueFactor, maxQueueFactor, ...others }) => {
      const { minQueueFactor: min, maxQueueFactor: max } = {
        minQueueFactor: minQueueFactor ?? earlyRejectionDefaults.minQueueFactor,
        maxQueueFactor: maxQueueFactor ?? earlyRejectionDefaults.maxQueueFactor,
      };
      const known = Object.keys(others).length === 0;
      return (
        known && numberRule(0).test(min) && numberRule(0).test(max) && Number(min) < Number(max)
      );
    },
  ),
);

function isPartition(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, guaranteedRatio = 0, minPriority = 0, ...others } = value as LimiterPartition;
  return (
    nameRule.test(name) &&
    typeof guaranteedRatio === 'number' &&
    guaranteedRatio >= 0 &&
    guaranteedRatio <= 1 &&
    typeof minPriority === 'number' &&
    !Number.isNaN(minPriority) &&
    Object.keys(others).length === 0
  );
}

const MAX_PARTITIONS = 100;

const partitionsRule = {
  test: (value: unknown) =>
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= MAX_PARTITIONS &&
    value.every(isPartition) &&
    new Set(value.map(({ name }) => name)).size === value.length &&
    // What tenths add up to can be a little more than 1.
    value.reduce((sum, { guaranteedRatio = 0 }) => sum + guaranteedRatio, 0) <= 1 + 1e-9,
  text: `1 to ${MAX_PARTITIONS} of { name, guaranteedRatio, minPriority } with names of their own and ratios that add up to at most 1`,
};

const rules: OptionRules<AdaptiveLimiterOptions> = {
  algorithm: algorithmRule,
  initialLimit: countRule(1),
  minLimit: countRule(1),
  maxLimit: countRule(1),
  sampleWindow: windowRule,
  maxQueueSize: countRule(0),
  queueTimeout: durationRule(0, true),
  queue: oneOfRule('fifo', 'codel', 'adaptive-lifo'),
  targetDelay: positiveDurationRule(),
  queueInterval: positiveDurationRule(),
  earlyRejection: earlyRejectionRule,
  partitions: partitionsRule,
  partitionBy: functionRule,
  classify: functionRule,
  isOverload: functionRule,
  stallDuration: positiveDurationRule(true),
  mode: modeRule,
  random: functionRule,
  name: nameRule,
  clock: clockRule,
};

/**
 * Checks the options.
 *
 * @throws {@link InvalidOptionError}
 */
export function checkAdaptiveLimiterOptions(options: AdaptiveLimiterOptions): void {
  checkOptions('adaptiveLimiter', options, rules);
  if (options.partitionBy !== undefined && options.partitions === undefined) {
    throw new InvalidOptionError(
      'adaptiveLimiter.partitionBy',
      options.partitionBy,
      'needs partitions',
    );
  }
}

/** The algorithm that the options ask for. */
export function algorithmOf(options: AdaptiveLimiterOptions): LimitAlgorithm {
  const { algorithm = adaptiveLimiterDefaults.algorithm, random } = options;
  if (typeof algorithm === 'object') {
    for (const name of ['initialLimit', 'minLimit', 'maxLimit'] as const) {
      if (options[name] === undefined) continue;
      const rule = 'must be left out where algorithm brings its own';
      throw new InvalidOptionError(`adaptiveLimiter.${name}`, options[name], rule);
    }
    return algorithm;
  }
  const bounds = boundsOf(options);
  if (algorithm === 'vegas') return vegas({ ...bounds, random });
  if (algorithm === 'gradient') return gradient({ ...bounds, random });
  return algorithm === 'aimd' ? aimd(bounds) : gradient2(bounds);
}

/** The options that an adaptive limiter goes by, defaults filled in, as JSON. */
export function describeAdaptiveLimiterOptions(
  options: AdaptiveLimiterOptions,
  algorithm: LimitAlgorithm,
): JsonRecord {
  const { clock: _clock, random: _random, name: _name, ...given } = options;
  const known = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  const { name: _default, ...defaults } = adaptiveLimiterDefaults;
  const { initialLimit: _initial, minLimit: _min, maxLimit: _max, ...others } = defaults;
  const ownBounds = typeof options.algorithm === 'object';
  return jsonRecord({
    ...others,
    ...known,
    ...(ownBounds ? {} : boundsOf(options)),
    algorithm: algorithm.name,
    sampleWindow: sampleWindowOf(options, algorithm) ?? false,
    earlyRejection: earlyRejectionOf(options) ?? false,
  });
}

/** The given bounds, and the limiter's defaults as far as they fit between them. */
function boundsOf({ initialLimit, minLimit, maxLimit }: AdaptiveLimiterOptions): LimitBounds {
  const defaults = adaptiveLimiterDefaults;
  const min = minLimit ?? defaults.minLimit;
  const max = maxLimit ?? Math.max(defaults.maxLimit, initialLimit ?? 1, min);
  const initial = initialLimit ?? Math.min(max, Math.max(min, defaults.initialLimit));
  return { initialLimit: initial, minLimit: min, maxLimit: max };
}

/** How early calls are refused; `undefined` where they are not. */
export function earlyRejectionOf({
  earlyRejection = adaptiveLimiterDefaults.earlyRejection,
}: AdaptiveLimiterOptions): typeof earlyRejectionDefaults | undefined {
  if (earlyRejection === false) return undefined;
  const given = earlyRejection === true ? {} : earlyRejection;
  return {
    minQueueFactor: given.minQueueFactor ?? earlyRejectionDefaults.minQueueFactor,
    maxQueueFactor: given.maxQueueFactor ?? earlyRejectionDefaults.maxQueueFactor,
  };
}

/** The window that the options ask for; `undefined` for each sample by itself. */
export function sampleWindowOf(
  { sampleWindow }: AdaptiveLimiterOptions,
  algorithm: LimitAlgorithm,
): SampleWindowOptions | undefined {
  if (sampleWindow === false) return undefined;
  if (sampleWindow === undefined) return algorithm.windowed ? sampleWindowDefaults : undefined;
  return { ...sampleWindowDefaults, ...sampleWindow };
}
