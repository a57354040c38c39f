/**
 * How many calls a dependency can take at a time, estimated from how they end. Two of Netflix's
 * concurrency-limits, formula by formula, in milliseconds:
 *
 *   AIMD   down by a factor when a call is dropped or too slow, up by one when not; for clients
 *   Vegas  keeps the estimated queue, limit × (1 - shortest / duration), between two bounds
 *
 * Neither moves while less than half of the limit is in use: what nobody uses says nothing about it.
 *
 * @see https://github.com/Netflix/concurrency-limits
 */
import {
  askFor,
  boundRules,
  type LimitAlgorithm,
  type LimitBounds,
  type LimitReason,
  type OfLimit,
  resolveBounds,
} from './limit-algorithm.js';
import { type Random, systemRandom } from './random.js';
import {
  checkOptions,
  functionRule,
  numberRule,
  type OptionRule,
  type OptionRules,
  positiveDurationRule,
  ratioRule,
} from './validate.js';

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
