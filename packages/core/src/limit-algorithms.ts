/**
 * How many calls a dependency can take at a time, estimated from how they end. The algorithms are those
 * of Netflix's concurrency-limits, formula by formula, in milliseconds:
 *
 *   AIMD       down by a factor when a call is dropped or too slow, up by one when not; for clients
 *   Vegas      keeps the estimated queue, limit × (1 - shortest / duration), between two bounds
 *   Gradient2  limit × clamp(tolerance × long average / duration, 0.5, 1) + a small queue, smoothed
 *
 * None moves while less than half of the limit is in use: what nobody uses says nothing about it.
 *
 * @see https://github.com/Netflix/concurrency-limits
 */
import { type Random, systemRandom } from './random.js';
import {
  checkOptions,
  countRule,
  functionRule,
  InvalidOptionError,
  numberRule,
  type OptionRule,
  type OptionRules,
  positiveDurationRule,
  ratioRule,
} from './validate.js';

/**
 * Why a limit moved or did not: `drop` (a call was dropped: down), `slow` (one took too long: down),
 * `queueing` (calls take longer than they need: down), `room` (they don't: up), `steady` (just right),
 * `idle` (too little in use to tell), `baseline` (a new shortest duration), `probe` (the shortest
 * duration is measured anew), `no-time` (a duration of 0 tells nothing).
 */
export type LimitReason =
  | 'drop'
  | 'slow'
  | 'queueing'
  | 'room'
  | 'steady'
  | 'idle'
  | 'baseline'
  | 'probe'
  | 'no-time';

/** Estimates a limit. An instance belongs to one limiter. */
export interface LimitAlgorithm {
  readonly name: string;
  /** The limit at this moment, not rounded. */
  readonly estimate: number;
  /** Whether it wants the summary of a window rather than each call by itself. */
  readonly windowed: boolean;
  /**
   * Takes over how a call ended.
   *
   * @param duration Milliseconds it took.
   * @param inFlight Calls that were in flight when it began, itself included.
   * @param dropped Whether it was turned away or timed out: a sign of overload.
   * @throws Anything: the limiter reports it and keeps its limit, as it does when the estimate is no
   * finite number.
   */
  update(duration: number, inFlight: number, dropped: boolean): LimitReason;
}

/** What all the algorithms are told. */
export interface LimitBounds {
  /** The limit to begin with, from `minLimit` to `maxLimit`. */
  readonly initialLimit?: number | undefined;
  /** The limit is never lower; at least 1. */
  readonly minLimit?: number | undefined;
  /** The limit is never higher. */
  readonly maxLimit?: number | undefined;
}

const boundRules = {
  initialLimit: countRule(1),
  minLimit: countRule(1),
  maxLimit: countRule(1),
} as const satisfies OptionRules<LimitBounds>;

/** Bounds with every default in place: a default that does not fit between the given ones makes way. */
function resolveBounds(
  owner: string,
  { initialLimit, minLimit, maxLimit }: LimitBounds,
  defaults: Required<LimitBounds>,
): { readonly initialLimit: number; readonly minLimit: number; readonly maxLimit: number } {
  const min =
    minLimit ?? Math.min(defaults.minLimit ?? 1, initialLimit ?? Infinity, maxLimit ?? Infinity);
  const max = maxLimit ?? Math.max(defaults.maxLimit ?? 1, initialLimit ?? 1, min);
  if (min > max)
    throw new InvalidOptionError(`${owner}.minLimit`, min, `must be at most maxLimit (${max})`);
  const initial = initialLimit ?? Math.min(max, Math.max(min, defaults.initialLimit ?? 1));
  if (initial < min || initial > max) {
    const rule = `must be from minLimit (${min}) to maxLimit (${max})`;
    throw new InvalidOptionError(`${owner}.initialLimit`, initial, rule);
  }
  return { initialLimit: initial, minLimit: min, maxLimit: max };
}

/** A share in [0.5, 1). */
const backoffRule: OptionRule = {
  test: (value) => typeof value === 'number' && value >= 0.5 && value < 1,
  text: 'a ratio of at least 0.5 and below 1',
};

/** Options of {@link aimd}. */
export interface AimdOptions extends LimitBounds {
  /** What the limit is multiplied by when a call is dropped; ratio in [0.5, 1). @defaultValue `aimdDefaults.backoffRatio` (0.9) */
  readonly backoffRatio?: number | undefined;
  /** Milliseconds above which a call counts as dropped. @defaultValue `aimdDefaults.slowCallDuration` (5,000) */
  readonly slowCallDuration?: number | undefined;
}

/** Defaults of {@link aimd}: those of Netflix's AIMDLimit. */
export const aimdDefaults: {
  readonly initialLimit: number;
  readonly minLimit: number;
  readonly maxLimit: number;
  readonly backoffRatio: number;
  readonly slowCallDuration: number;
} = Object.freeze({
  initialLimit: 20,
  minLimit: 20,
  maxLimit: 200,
  backoffRatio: 0.9,
  slowCallDuration: 5_000,
});

const aimdRules: OptionRules<AimdOptions> = {
  ...boundRules,
  backoffRatio: backoffRule,
  slowCallDuration: positiveDurationRule(true),
};

/** Goes by calls that are dropped. */
class Aimd implements LimitAlgorithm {
  readonly name = 'aimd';
  readonly windowed = false;
  readonly #min: number;
  readonly #max: number;
  readonly #backoffRatio: number;
  readonly #slowCallDuration: number;
  #limit: number;

  constructor(options: AimdOptions) {
    checkOptions('aimd', options, aimdRules);
    const { initialLimit, minLimit, maxLimit } = resolveBounds('aimd', options, aimdDefaults);
    this.#limit = initialLimit;
    this.#min = minLimit;
    this.#max = maxLimit;
    this.#backoffRatio = options.backoffRatio ?? aimdDefaults.backoffRatio;
    this.#slowCallDuration = options.slowCallDuration ?? aimdDefaults.slowCallDuration;
  }

  get estimate(): number {
    return this.#limit;
  }

  update(duration: number, inFlight: number, dropped: boolean): LimitReason {
    const slow = duration > this.#slowCallDuration;
    if (dropped || slow) {
      this.#limit = Math.max(this.#min, Math.floor(this.#limit * this.#backoffRatio));
      return dropped ? 'drop' : 'slow';
    }
    if (inFlight * 2 < this.#limit) return 'idle';
    this.#limit = Math.min(this.#max, this.#limit + 1);
    return 'room';
  }
}

/** Additive increase, multiplicative decrease. @throws {@link InvalidOptionError} */
export function aimd(options: AimdOptions = {}): LimitAlgorithm {
  return new Aimd(options);
}

/**
 * A whole number for a limit: `(limit) => number`. If it throws or gives no number, the limiter
 * reports it and keeps its limit.
 */
export type OfLimit = (limit: number) => number;

/** What a user's function gives for a limit. @throws {TypeError} if it is no number. */
function askFor(name: string, ofLimit: OfLimit, limit: number): number {
  const value: unknown = ofLimit(limit);
  if (typeof value === 'number' && !Number.isNaN(value)) return value;
  throw new TypeError(`${name} gave ${String(value)} instead of a number`);
}

/** Options of {@link vegas}. Where an option is a function it gets the limit. */
export interface VegasOptions extends LimitBounds {
  /** Share of a step that is taken, in (0, 1]. @defaultValue `vegasDefaults.smoothingRatio` (1) */
  readonly smoothingRatio?: number | undefined;
  /** The shortest duration is measured anew every 0.5 to 1 times this × limit samples. @defaultValue `vegasDefaults.probeMultiplier` (30) */
  readonly probeMultiplier?: number | undefined;
  /** Estimated queue below which the limit rises. Default: 3 × log10(limit). */
  readonly alpha?: OfLimit | undefined;
  /** Estimated queue above which the limit falls. Default: 6 × log10(limit). */
  readonly beta?: OfLimit | undefined;
  /** Estimated queue up to which the limit rises by beta at once. Default: log10(limit). */
  readonly threshold?: OfLimit | undefined;
  /** The next limit when it rises. Default: limit + log10(limit). */
  readonly increase?: OfLimit | undefined;
  /** The next limit when it falls. Default: limit - log10(limit). */
  readonly decrease?: OfLimit | undefined;
  /** Source of chance. Default: `Math.random`. */
  readonly random?: Random | undefined;
}

/** Defaults of {@link vegas}: those of Netflix's VegasLimit. log10 is a whole number of at least 1. */
export const vegasDefaults: {
  readonly initialLimit: number;
  readonly minLimit: number;
  readonly maxLimit: number;
  readonly smoothingRatio: number;
  readonly probeMultiplier: number;
} = Object.freeze({
  initialLimit: 20,
  minLimit: 1,
  maxLimit: 1_000,
  smoothingRatio: 1,
  probeMultiplier: 30,
});

const vegasRules: OptionRules<VegasOptions> = {
  ...boundRules,
  smoothingRatio: ratioRule,
  probeMultiplier: numberRule(1),
  alpha: functionRule,
  beta: functionRule,
  threshold: functionRule,
  increase: functionRule,
  decrease: functionRule,
  random: functionRule,
};

/** log10 of a limit, as a whole number of at least 1. */
function magnitude(limit: number): number {
  return Math.max(1, Math.floor(Math.log10(limit)));
}

/** Goes by how much longer calls take than the shortest one. */
class Vegas implements LimitAlgorithm {
  readonly name = 'vegas';
  readonly windowed = true;
  readonly #min: number;
  readonly #max: number;
  readonly #options: VegasOptions;
  readonly #smoothing: number;
  readonly #probeMultiplier: number;
  readonly #random: Random;
  #limit: number;
  #shortest = 0;
  #samples = 0;
  #probeJitter: number;

  constructor(options: VegasOptions) {
    checkOptions('vegas', options, vegasRules);
    const { initialLimit, minLimit, maxLimit } = resolveBounds('vegas', options, vegasDefaults);
    this.#options = { ...options };
    this.#limit = initialLimit;
    this.#min = minLimit;
    this.#max = maxLimit;
    this.#smoothing = options.smoothingRatio ?? vegasDefaults.smoothingRatio;
    this.#probeMultiplier = options.probeMultiplier ?? vegasDefaults.probeMultiplier;
    this.#random = options.random ?? systemRandom;
    this.#probeJitter = this.#nextJitter();
  }

  get estimate(): number {
    return this.#limit;
  }

  update(duration: number, inFlight: number, dropped: boolean): LimitReason {
    if (!(duration > 0)) return 'no-time';
    this.#samples++;
    if (this.#probeJitter * this.#probeMultiplier * this.#limit <= this.#samples) {
      this.#probeJitter = this.#nextJitter();
      this.#samples = 0;
      this.#shortest = duration;
      return 'probe';
    }
    if (this.#shortest === 0 || duration < this.#shortest) {
      this.#shortest = duration;
      return 'baseline';
    }
    return this.#move(Math.ceil(this.#limit * (1 - this.#shortest / duration)), inFlight, dropped);
  }

  #move(queue: number, inFlight: number, dropped: boolean): LimitReason {
    const limit = this.#limit;
    const whole = Math.floor(limit);
    const log = magnitude(whole);
    const { alpha, beta, threshold, increase, decrease } = this.#options;
    const fall = (): number =>
      decrease === undefined ? limit - log : askFor('decrease', decrease, limit);
    if (dropped) {
      this.#step(fall());
      return 'drop';
    }
    if (inFlight * 2 < limit) return 'idle';
    const most = beta === undefined ? 6 * log : askFor('beta', beta, whole);
    if (queue <= (threshold === undefined ? log : askFor('threshold', threshold, whole))) {
      this.#step(limit + most);
      return 'room';
    }
    if (queue < (alpha === undefined ? 3 * log : askFor('alpha', alpha, whole))) {
      this.#step(increase === undefined ? limit + log : askFor('increase', increase, limit));
      return 'room';
    }
    if (queue <= most) return 'steady';
    this.#step(fall());
    return 'queueing';
  }

  #step(to: number): void {
    const next = Math.max(this.#min, Math.min(this.#max, to));
    this.#limit = (1 - this.#smoothing) * this.#limit + this.#smoothing * next;
  }

  #nextJitter(): number {
    return 0.5 + 0.5 * this.#random();
  }
}

/** Keeps the queue that calls make at the dependency short. @throws {@link InvalidOptionError} */
export function vegas(options: VegasOptions = {}): LimitAlgorithm {
  return new Vegas(options);
}

/** Options of {@link gradient2}. */
export interface Gradient2Options extends LimitBounds {
  /** Share of a step that is taken, in (0, 1]. @defaultValue `gradient2Defaults.smoothingRatio` (0.2) */
  readonly smoothingRatio?: number | undefined;
  /** Calls that may queue at the dependency; a function gets the limit. @defaultValue `gradient2Defaults.queueSize` (4) */
  readonly queueSize?: number | OfLimit | undefined;
  /** How many times the long average a call may take before the limit falls; at least 1. @defaultValue `gradient2Defaults.tolerance` (1.5) */
  readonly tolerance?: number | undefined;
  /** Samples that the long average looks back on. @defaultValue `gradient2Defaults.longWindowSize` (600) */
  readonly longWindowSize?: number | undefined;
}

/** Defaults of {@link gradient2}: those of Netflix's Gradient2Limit. */
export const gradient2Defaults: {
  readonly initialLimit: number;
  readonly minLimit: number;
  readonly maxLimit: number;
  readonly smoothingRatio: number;
  readonly queueSize: number;
  readonly tolerance: number;
  readonly longWindowSize: number;
} = Object.freeze({
  initialLimit: 20,
  minLimit: 20,
  maxLimit: 200,
  smoothingRatio: 0.2,
  queueSize: 4,
  tolerance: 1.5,
  longWindowSize: 600,
});

const gradient2Rules: OptionRules<Gradient2Options> = {
  ...boundRules,
  smoothingRatio: ratioRule,
  queueSize: {
    test: (value) => typeof value === 'function' || countRule(0).test(value),
    text: 'a whole number of at least 0, or a function',
  },
  tolerance: numberRule(1),
  longWindowSize: countRule(1),
};

/** Samples whose plain mean an exponential average begins with. */
const WARM_UP = 10;

/** An average that forgets: the plain mean of the first samples, then each new one counts 2 / (window + 1). */
export class ExponentialAverage {
  readonly #factor: number;
  #count = 0;
  #sum = 0;
  #value = 0;

  constructor(window: number) {
    this.#factor = 2 / (window + 1);
  }

  /** Adds a sample and gives the average. */
  add(sample: number): number {
    if (this.#count < WARM_UP) {
      this.#count++;
      this.#sum += sample;
      this.#value = this.#sum / this.#count;
    } else this.#value = this.#value * (1 - this.#factor) + sample * this.#factor;
    return this.#value;
  }

  /** Multiplies the average. */
  scale(factor: number): void {
    this.#value *= factor;
  }
}

/** Goes by how much longer calls take than they did on average. Dropped calls count as any other. */
class Gradient2 implements LimitAlgorithm {
  readonly name = 'gradient2';
  readonly windowed = true;
  readonly #min: number;
  readonly #max: number;
  readonly #smoothing: number;
  readonly #tolerance: number;
  readonly #queueSize: OfLimit;
  readonly #long: ExponentialAverage;
  #limit: number;

  constructor(options: Gradient2Options) {
    checkOptions('gradient2', options, gradient2Rules);
    const defaults = gradient2Defaults;
    const { initialLimit, minLimit, maxLimit } = resolveBounds('gradient2', options, defaults);
    this.#limit = initialLimit;
    this.#min = minLimit;
    this.#max = maxLimit;
    this.#smoothing = options.smoothingRatio ?? defaults.smoothingRatio;
    this.#tolerance = options.tolerance ?? defaults.tolerance;
    const queueSize = options.queueSize ?? defaults.queueSize;
    this.#queueSize = typeof queueSize === 'function' ? queueSize : () => queueSize;
    this.#long = new ExponentialAverage(options.longWindowSize ?? defaults.longWindowSize);
  }

  get estimate(): number {
    return this.#limit;
  }

  update(duration: number, inFlight: number, _dropped: boolean): LimitReason {
    if (!(duration > 0)) return 'no-time';
    const limit = this.#limit;
    const long = this.#long.add(duration);
    // After an overload the long average comes down faster than by itself.
    if (long / duration > 2) this.#long.scale(0.95);
    if (inFlight < limit / 2) return 'idle';
    const gradient = Math.max(0.5, Math.min(1, (this.#tolerance * long) / duration));
    const wanted = limit * gradient + askFor('queueSize', this.#queueSize, Math.floor(limit));
    const next = limit * (1 - this.#smoothing) + wanted * this.#smoothing;
    this.#limit = Math.max(this.#min, Math.min(this.#max, next));
    if (next === limit) return 'steady';
    return next > limit ? 'room' : 'queueing';
  }
}

/** Follows the gradient of the durations. @throws {@link InvalidOptionError} */
export function gradient2(options: Gradient2Options = {}): LimitAlgorithm {
  return new Gradient2(options);
}
