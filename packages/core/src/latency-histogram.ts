/**
 * Latency histogram: quantiles of the durations of the latest time, in a memory that does not grow.
 *
 * A duration falls into the bin `ceil(ln(duration) / ln(gamma))` with gamma = (1 + e) / (1 - e); a
 * quantile is told as `2 * gamma^bin / (gamma + 1)`, which is off by at most the share `e` of the exact
 * one, whatever the distribution (the log mapping of DDSketch, Masson, Rim and Lee 2019). What was
 * recorded is forgotten after the window, a slice of it at a time, without a timer.
 */
import { type Clock, systemClock } from './clock.js';
import {
  checkOptions,
  clockRule,
  type OptionRules,
  objectRule,
  positiveDurationRule,
} from './validate.js';

/** Options of a {@link LatencyHistogram}. */
export interface LatencyHistogramOptions {
  /**
   * How far off a quantile may be, as a share of it.
   *
   * Ratio from 0.001 to 0.2. Memory grows with 1 / `relativeErrorRatio`: 12 kB at the default.
   *
   * @defaultValue `latencyHistogramDefaults.relativeErrorRatio` (0.02)
   */
  readonly relativeErrorRatio?: number | undefined;
  /**
   * How long a duration counts: `{ duration }` in milliseconds, above 0. Kept in four slices, so that
   * up to a quarter of it is forgotten at once.
   *
   * @defaultValue `latencyHistogramDefaults.window` (`{ duration: 30_000 }`)
   */
  readonly window?: { readonly duration: number } | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link LatencyHistogram}. */
export const latencyHistogramDefaults: {
  readonly relativeErrorRatio: number;
  readonly window: { readonly duration: number };
} = Object.freeze({
  relativeErrorRatio: 0.02,
  window: Object.freeze({ duration: 30_000 }),
});

const rules: OptionRules<LatencyHistogramOptions> = {
  relativeErrorRatio: {
    test: (value) => typeof value === 'number' && value >= 0.001 && value <= 0.2,
    text: 'a ratio from 0.001 to 0.2',
  },
  window: objectRule('{ duration } (milliseconds above 0)', (value) =>
    positiveDurationRule().test(value.duration),
  ),
  clock: clockRule,
};

/** Shortest and longest duration told apart, in ms: 10 µs and a day. What lies beyond counts as they do. */
const SHORTEST = 0.01;
const LONGEST = 86_400_000;
const SLICES = 4;

/** Quantiles of the latest durations. Shared by all that record into it. */
export class LatencyHistogram {
  readonly clock: Clock;
  readonly #gamma: number;
  readonly #perLog: number;
  readonly #width: number;
  readonly #total: Uint32Array;
  /** Made when the first duration is recorded in it. */
  readonly #slices: (Uint32Array | undefined)[] = new Array(SLICES).fill(undefined);
  readonly #counts: number[] = new Array(SLICES).fill(0);
  #count = 0;
  #turn = -Infinity;

  /** @throws {@link InvalidOptionError} */
  constructor(options: LatencyHistogramOptions = {}) {
    checkOptions('LatencyHistogram', options, rules);
    const error = options.relativeErrorRatio ?? latencyHistogramDefaults.relativeErrorRatio;
    const { duration } = options.window ?? latencyHistogramDefaults.window;
    this.clock = options.clock ?? systemClock;
    this.#gamma = (1 + error) / (1 - error);
    this.#perLog = 1 / Math.log(this.#gamma);
    this.#width = duration / SLICES;
    this.#total = new Uint32Array(this.#binOf(LONGEST) + 1);
  }

  /** Adds a duration in milliseconds; one that is not a number is left out. `now` saves reading the clock. */
  record(duration: number, now: number = this.clock.now()): void {
    if (Number.isNaN(duration)) return;
    this.#turnTo(now);
    const bin = this.#binOf(duration);
    const slice = sliceOf(this.#turn);
    let bins = this.#slices[slice];
    if (bins === undefined) {
      bins = new Uint32Array(this.#total.length);
      this.#slices[slice] = bins;
    }
    bins[bin] = (bins[bin] as number) + 1;
    this.#total[bin] = (this.#total[bin] as number) + 1;
    this.#counts[slice] = (this.#counts[slice] as number) + 1;
    this.#count++;
  }

  /** Durations in the window. */
  count(now: number = this.clock.now()): number {
    this.#turnTo(now);
    return this.#count;
  }

  /**
   * The shortest duration that at least the share `ratio` (0 to 1) of the durations do not exceed,
   * give or take `relativeErrorRatio` of it; `undefined` if there are none.
   */
  quantile(ratio: number, now: number = this.clock.now()): number | undefined {
    const bound = this.quantileBound(ratio, now);
    return bound === undefined ? undefined : (2 * bound) / (this.#gamma + 1);
  }

  /**
   * As `quantile`, rounded up: never below the exact one, and above it by less than the factor
   * (1 + e) / (1 - e). At most the share 1 - `ratio` of the durations are longer.
   */
  quantileBound(ratio: number, now: number = this.clock.now()): number | undefined {
    this.#turnTo(now);
    if (this.#count === 0) return undefined;
    // 0.07 * 100 is a little more than 7.
    const rank = Math.max(1, Math.ceil(ratio * this.#count - 1e-9));
    let passed = 0;
    let bin = -1;
    while (passed < rank && bin < this.#total.length - 1) passed += this.#total[++bin] as number;
    return SHORTEST * this.#gamma ** bin;
  }

  #binOf(duration: number): number {
    if (duration <= SHORTEST) return 0;
    const within = Math.min(duration, LONGEST) / SHORTEST;
    return Math.ceil(Math.log(within) * this.#perLog);
  }

  #turnTo(now: number): void {
    const turn = Math.floor(now / this.#width);
    if (turn <= this.#turn) return;
    const passed = Math.min(turn - this.#turn, SLICES);
    for (let step = 0; step < passed; step++) this.#forget(sliceOf(turn - step));
    this.#turn = turn;
  }

  #forget(slice: number): void {
    const bins = this.#slices[slice];
    if (bins === undefined || this.#counts[slice] === 0) return;
    for (let bin = 0; bin < bins.length; bin++) {
      this.#total[bin] = (this.#total[bin] as number) - (bins[bin] as number);
    }
    bins.fill(0);
    this.#count -= this.#counts[slice] as number;
    this.#counts[slice] = 0;
  }
}

function sliceOf(turn: number): number {
  return ((turn % SLICES) + SLICES) % SLICES;
}
