/**
 * Netflix's Gradient2: a long and a short average of how long calls take.
 *
 *   limit × clamp(tolerance × long average / duration, 0.5, 1) + a small queue, smoothed
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
import { checkOptions, countRule, numberRule, type OptionRules, ratioRule } from './validate.js';

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
