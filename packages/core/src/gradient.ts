/**
 * Envoy's gradient controller: how much longer calls take than the shortest did, with room to rise.
 *
 *   gradient = clamp(shortest × (1 + bufferRatio) / duration, 0.5, 2)
 *   limit    = ⌊limit × gradient + √(limit × gradient)⌋
 *
 * The shortest duration is measured anew now and then, from live calls. Envoy used to hold the limit at its
 * minimum for that, which its users met as refusals, and may now do as here.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/adaptive_concurrency_filter
 */
import {
  boundRules,
  type LimitAlgorithm,
  type LimitBounds,
  type LimitReason,
  resolveBounds,
} from './limit-algorithm.js';
import { type Random, systemRandom } from './random.js';
import { checkOptions, countRule, functionRule, numberRule, type OptionRules } from './validate.js';

/** Options of {@link gradient}. */
export interface GradientOptions extends LimitBounds {
  /** Share of the shortest duration that calls may take longer before the limit falls; at least 0. @defaultValue `gradientDefaults.bufferRatio` (0.25) */
  readonly bufferRatio?: number | undefined;
  /** The shortest duration is measured anew every 1 to 1.15 times so many samples. @defaultValue `gradientDefaults.probeInterval` (60) */
  readonly probeInterval?: number | undefined;
  /** Source of chance. Default: `Math.random`. */
  readonly random?: Random | undefined;
}

/** Defaults of {@link gradient}: those of Envoy, with Netflix's limit to begin with; a sample stands for a second. */
export const gradientDefaults: {
  readonly initialLimit: number;
  readonly minLimit: number;
  readonly maxLimit: number;
  readonly bufferRatio: number;
  readonly probeInterval: number;
} = Object.freeze({
  initialLimit: 20,
  minLimit: 3,
  maxLimit: 1_000,
  bufferRatio: 0.25,
  probeInterval: 60,
});

/** By how much an interval may be longer, so that many limiters don't measure at the same time. */
const PROBE_JITTER = 0.15;

const gradientRules: OptionRules<GradientOptions> = {
  ...boundRules,
  bufferRatio: numberRule(0),
  probeInterval: countRule(1),
  random: functionRule,
};

/** Goes by how much longer calls take than the shortest did. Dropped calls count as any other. */
class Gradient implements LimitAlgorithm {
  readonly name = 'gradient';
  readonly windowed = true;
  readonly #min: number;
  readonly #max: number;
  readonly #bufferRatio: number;
  readonly #probeInterval: number;
  readonly #random: Random;
  #limit: number;
  #shortest = 0;
  #untilProbe = 0;

  constructor(options: GradientOptions) {
    checkOptions('gradient', options, gradientRules);
    const defaults = gradientDefaults;
    const { initialLimit, minLimit, maxLimit } = resolveBounds('gradient', options, defaults);
    this.#limit = initialLimit;
    this.#min = minLimit;
    this.#max = maxLimit;
    this.#bufferRatio = options.bufferRatio ?? defaults.bufferRatio;
    this.#probeInterval = options.probeInterval ?? defaults.probeInterval;
    this.#random = options.random ?? systemRandom;
  }

  get estimate(): number {
    return this.#limit;
  }

  update(duration: number, inFlight: number, _dropped: boolean): LimitReason {
    if (!(duration > 0)) return 'no-time';
    if (this.#untilProbe <= 0) return this.#measure(duration);
    this.#untilProbe--;
    const limit = this.#limit;
    const shortest = this.#shortest;
    this.#shortest = Math.min(shortest, duration);
    if (inFlight < limit / 2) return 'idle';
    const gradient = Math.max(0.5, Math.min(2, (shortest * (1 + this.#bufferRatio)) / duration));
    const wanted = limit * gradient;
    const next = Math.floor(wanted + Math.sqrt(wanted));
    this.#limit = Math.max(this.#min, Math.min(this.#max, next));
    if (next === limit) return 'steady';
    return next > limit ? 'room' : 'queueing';
  }

  #measure(duration: number): LimitReason {
    const first = this.#shortest === 0;
    this.#shortest = duration;
    this.#untilProbe = this.#probeInterval * (1 + PROBE_JITTER * this.#random());
    return first ? 'baseline' : 'probe';
  }
}

/** Follows the gradient of the durations as Envoy does. @throws {@link InvalidOptionError} */
export function gradient(options: GradientOptions = {}): LimitAlgorithm {
  return new Gradient(options);
}
