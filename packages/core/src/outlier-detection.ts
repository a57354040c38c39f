/**
 * Outlier detection: finds the endpoints that do worse than the others, and takes them out of the
 * choice for a time.
 *
 *   in --outlier--> ejected for min(baseEjectionDuration * n, maxEjectionDuration) --sweep--> in
 *
 * n is the number of ejections in a row; each sweep that finds the endpoint in takes one off. At once:
 * so many consecutive failures. By sweep, every `sweepInterval`, over the calls that ended since the
 * sweep before: a success rate below `mean - deviationFactor * deviation` of all endpoints with enough
 * calls, and a share of failures. After Envoy's outlier detection and gRPC's A50, with their order of
 * steps (A50's: first who is ejected, then who comes back, so that an endpoint that fails right after
 * its return stays out longer). There is no timer: sweeps that have become due are made up for, each
 * with the time it was due at, when a call begins or ends.
 *
 * Where we deviate: a share is reached at `>=` (Envoy's text; A50's steps say `>`). Endpoints whose
 * success rates are all but equal have a deviation near 0, and the formula alone ejects 90 % beside
 * four above 97 %: a rate must also be `minimumGap` below the mean. The last endpoint is never ejected.
 */
import type { EndpointEjectionReason } from './events.js';
import {
  booleanRule,
  checkOptions,
  countRule,
  eitherRule,
  InvalidOptionError,
  numberRule,
  type OptionRules,
  objectRule,
  oneOfRule,
  positiveDurationRule,
  ratioRule,
  shareRule,
} from './validate.js';

/** When a success rate is an outlier. */
export interface SuccessRateOptions {
  /** Deviations below the mean at which an endpoint is ejected. At least 0. @defaultValue 1.9 */
  readonly deviationFactor?: number | undefined;
  /** How far below the mean it must be besides, as a ratio in 0..1. @defaultValue 0.1 */
  readonly minimumGap?: number | undefined;
  /** Endpoints that must have `minimumCalls`. At least 1. @defaultValue 5 */
  readonly minimumEndpoints?: number | undefined;
  /** Calls since the sweep before that make an endpoint count. At least 1. @defaultValue 100 */
  readonly minimumCalls?: number | undefined;
}

/** When a share of failures is too large, whatever the others do. */
export interface FailureShareOptions {
  /** Share of failures at which an endpoint is ejected, in (0, 1]. @defaultValue 0.85 */
  readonly failureRatio?: number | undefined;
  /** Endpoints that there must be. At least 1. @defaultValue 5 */
  readonly minimumEndpoints?: number | undefined;
  /** Calls since the sweep before that make an endpoint count. At least 1. @defaultValue 50 */
  readonly minimumCalls?: number | undefined;
}

/** Options of outlier detection. */
export interface OutlierDetectionOptions {
  /** Consecutive failures that eject an endpoint at once; `false` for never. @defaultValue 5 */
  readonly failureThreshold?: number | false | undefined;
  /** Ejection by comparison of success rates; `false` for never. */
  readonly successRate?: SuccessRateOptions | false | undefined;
  /** Ejection by an endpoint's own share of failures; `false` for never. */
  readonly failureShare?: FailureShareOptions | false | undefined;
  /** Milliseconds between two sweeps. Above 0. @defaultValue 10,000 */
  readonly sweepInterval?: number | undefined;
  /** Milliseconds of the first ejection; the next in a row takes twice that, and so on. Above 0. @defaultValue 30,000 */
  readonly baseEjectionDuration?: number | undefined;
  /** Longest ejection in milliseconds. At least `baseEjectionDuration`. @defaultValue 300,000, or `baseEjectionDuration` if that is longer */
  readonly maxEjectionDuration?: number | undefined;
  /**
   * Share of the endpoints that may be ejected at a time, in (0, 1]. One may be whatever the share;
   * the last one never is.
   *
   * @defaultValue 0.5 (Envoy: 0.1, for clusters of hundreds)
   */
  readonly maxEjectionRatio?: number | undefined;
  /** `observe` tells what would be ejected and ejects nothing. @defaultValue `'enforce'` */
  readonly mode?: 'enforce' | 'observe' | undefined;
  /** Whether a health check that passes ends an ejection. @defaultValue true */
  readonly endedByHealthCheck?: boolean | undefined;
}

/** Defaults of outlier detection, those of Envoy and A50 but for `minimumGap` and `maxEjectionRatio`. */
export const outlierDetectionDefaults: {
  readonly failureThreshold: number;
  readonly successRate: Required<{ readonly [K in keyof SuccessRateOptions]: number }>;
  readonly failureShare: Required<{ readonly [K in keyof FailureShareOptions]: number }>;
  readonly sweepInterval: number;
  readonly baseEjectionDuration: number;
  readonly maxEjectionDuration: number;
  readonly maxEjectionRatio: number;
  readonly mode: 'enforce';
  readonly endedByHealthCheck: boolean;
} = Object.freeze({
  failureThreshold: 5,
  successRate: Object.freeze({
    deviationFactor: 1.9,
    minimumGap: 0.1,
    minimumEndpoints: 5,
    minimumCalls: 100,
  }),
  failureShare: Object.freeze({ failureRatio: 0.85, minimumEndpoints: 5, minimumCalls: 50 }),
  sweepInterval: 10_000,
  baseEjectionDuration: 30_000,
  maxEjectionDuration: 300_000,
  maxEjectionRatio: 0.5,
  mode: 'enforce',
  endedByHealthCheck: true,
});

const off = oneOfRule(false);
const partRule = eitherRule(objectRule('an options object'), off);
const rules: OptionRules<OutlierDetectionOptions> = {
  failureThreshold: eitherRule(countRule(1), off),
  successRate: partRule,
  failureShare: partRule,
  sweepInterval: positiveDurationRule(),
  baseEjectionDuration: positiveDurationRule(),
  maxEjectionDuration: positiveDurationRule(),
  maxEjectionRatio: ratioRule,
  mode: oneOfRule('enforce', 'observe'),
  endedByHealthCheck: booleanRule,
};
const successRateRules: OptionRules<SuccessRateOptions> = {
  deviationFactor: numberRule(0),
  minimumGap: shareRule,
  minimumEndpoints: countRule(1),
  minimumCalls: countRule(1),
};
const failureShareRules: OptionRules<FailureShareOptions> = {
  failureRatio: ratioRule,
  minimumEndpoints: countRule(1),
  minimumCalls: countRule(1),
};

type Filled<Options> = { readonly [K in keyof Options]-?: NonNullable<Options[K]> };

/** Options with every default in place. */
export interface ResolvedOutlierDetectionOptions {
  readonly failureThreshold: number;
  readonly successRate: Filled<SuccessRateOptions> | undefined;
  readonly failureShare: Filled<FailureShareOptions> | undefined;
  readonly sweepInterval: number;
  readonly baseEjectionDuration: number;
  readonly maxEjectionDuration: number;
  readonly maxEjectionRatio: number;
  readonly enforced: boolean;
  readonly endedByHealthCheck: boolean;
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws {@link InvalidOptionError}
 */
export function resolveOutlierDetectionOptions(
  options: OutlierDetectionOptions,
): ResolvedOutlierDetectionOptions {
  const owner = 'failover.outlierDetection';
  const defaults = outlierDetectionDefaults;
  checkOptions(owner, options, rules);
  const { failureThreshold = defaults.failureThreshold, successRate, failureShare } = options;
  if (successRate) checkOptions(`${owner}.successRate`, successRate, successRateRules);
  if (failureShare) checkOptions(`${owner}.failureShare`, failureShare, failureShareRules);
  const baseEjectionDuration = options.baseEjectionDuration ?? defaults.baseEjectionDuration;
  const maxEjectionDuration =
    options.maxEjectionDuration ?? Math.max(defaults.maxEjectionDuration, baseEjectionDuration);
  if (maxEjectionDuration < baseEjectionDuration) {
    throw new InvalidOptionError(
      `${owner}.maxEjectionDuration`,
      maxEjectionDuration,
      `must be at least baseEjectionDuration (${baseEjectionDuration})`,
    );
  }
  return {
    failureThreshold: failureThreshold === false ? Infinity : failureThreshold,
    successRate: successRate === false ? undefined : filled(defaults.successRate, successRate),
    failureShare: failureShare === false ? undefined : filled(defaults.failureShare, failureShare),
    sweepInterval: options.sweepInterval ?? defaults.sweepInterval,
    baseEjectionDuration,
    maxEjectionDuration,
    maxEjectionRatio: options.maxEjectionRatio ?? defaults.maxEjectionRatio,
    enforced: (options.mode ?? defaults.mode) === 'enforce',
    endedByHealthCheck: options.endedByHealthCheck ?? defaults.endedByHealthCheck,
  };
}

function filled<Defaults extends object>(
  defaults: Defaults,
  own: { readonly [K in keyof Defaults]?: Defaults[K] | undefined } = {},
): Defaults {
  const given = Object.entries(own).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(given) };
}

/** Told of what changes. */
export interface OutlierListener {
  /** An endpoint is out, `duration` milliseconds from now on. */
  ejected(index: number, reason: EndpointEjectionReason, duration: number): void;
  returned(index: number): void;
}

/** What is known of one endpoint. */
interface Record {
  /** Calls that ended since the last sweep. */
  successes: number;
  failures: number;
  consecutiveFailures: number;
  /** When it was ejected; `undefined` while it is in. */
  ejectedAt: number | undefined;
  /** Ejections in a row. */
  ejections: number;
  /** Grows with each ejection and return: a call that began before says nothing about what is now. */
  generation: number;
}

/** Watches the endpoints of one failover, by their place in its list. */
export class OutlierDetection {
  readonly options: ResolvedOutlierDetectionOptions;
  readonly #records: readonly Record[];
  readonly #listener: OutlierListener;
  #nextSweep: number | undefined;
  #ejected = 0;

  constructor(size: number, options: ResolvedOutlierDetectionOptions, listener: OutlierListener) {
    this.options = options;
    this.#listener = listener;
    this.#records = Array.from({ length: size }, () => ({
      successes: 0,
      failures: 0,
      consecutiveFailures: 0,
      ejectedAt: undefined,
      ejections: 0,
      generation: 0,
    }));
  }

  /** Whether an endpoint is to be left out; never where it is only observed. */
  isEjected(index: number): boolean {
    return this.options.enforced && this.#of(index).ejectedAt !== undefined;
  }

  /** Ejections in a row. */
  ejections(index: number): number {
    return this.#of(index).ejections;
  }

  /** What `record` wants to know of the moment in which a call began. */
  generation(index: number): number {
    return this.#of(index).generation;
  }

  /** A call to an endpoint ended, having begun in `generation`. */
  record(index: number, generation: number, succeeded: boolean, now: number): void {
    this.sweep(now);
    const record = this.#of(index);
    if (record.ejectedAt !== undefined || record.generation !== generation) return;
    if (succeeded) {
      record.successes++;
      record.consecutiveFailures = 0;
      return;
    }
    record.failures++;
    record.consecutiveFailures++;
    if (record.consecutiveFailures >= this.options.failureThreshold)
      this.#eject(index, 'consecutive-failures', now);
  }

  /** An active health check found the endpoint well. */
  end(index: number): void {
    if (this.options.endedByHealthCheck && this.#of(index).ejectedAt !== undefined)
      this.#return(index);
  }

  /** Makes the sweeps that have become due. */
  sweep(now: number): void {
    const { sweepInterval } = this.options;
    if (this.#nextSweep === undefined) {
      this.#nextSweep = now + sweepInterval;
      return;
    }
    while (now >= this.#nextSweep) {
      this.#sweepOnce(this.#nextSweep);
      this.#nextSweep += sweepInterval;
      if (this.#records.some(({ ejections }) => ejections > 0)) continue;
      // Nothing is left that another sweep without calls could change.
      const missed = Math.floor((now - this.#nextSweep) / sweepInterval) + 1;
      this.#nextSweep += Math.max(0, missed) * sweepInterval;
    }
  }

  #sweepOnce(at: number): void {
    const counts = this.#records.map(({ successes, failures }) => {
      const calls = successes + failures;
      return { calls, successRate: successes / calls, failureShare: failures / calls };
    });
    for (const record of this.#records) {
      record.successes = 0;
      record.failures = 0;
    }
    this.#ejectBySuccessRate(counts, at);
    this.#ejectByFailureShare(counts, at);
    for (const [index, record] of this.#records.entries()) {
      if (record.ejectedAt !== undefined) {
        if (at >= record.ejectedAt + this.#durationOf(record)) this.#return(index);
      } else if (record.ejections > 0) record.ejections--;
    }
  }

  #ejectBySuccessRate(counts: readonly Counts[], at: number): void {
    const { successRate } = this.options;
    if (successRate === undefined) return;
    const { minimumCalls, minimumEndpoints, deviationFactor, minimumGap } = successRate;
    const rates = counts
      .filter(({ calls }) => calls >= minimumCalls)
      .map(({ successRate: rate }) => rate);
    if (rates.length < minimumEndpoints) return;
    const { mean, threshold } = successRateThreshold(rates, deviationFactor);
    for (const [index, { calls, successRate: rate }] of counts.entries()) {
      if (calls >= minimumCalls && rate < threshold && mean - rate >= minimumGap)
        this.#eject(index, 'success-rate', at);
    }
  }

  #ejectByFailureShare(counts: readonly Counts[], at: number): void {
    const { failureShare } = this.options;
    if (failureShare === undefined || counts.length < failureShare.minimumEndpoints) return;
    for (const [index, { calls, failureShare: share }] of counts.entries()) {
      if (calls >= failureShare.minimumCalls && share >= failureShare.failureRatio)
        this.#eject(index, 'failure-share', at);
    }
  }

  #eject(index: number, reason: EndpointEjectionReason, at: number): void {
    const record = this.#of(index);
    if (record.ejectedAt !== undefined || !this.#mayEject()) return;
    record.ejectedAt = at;
    record.ejections++;
    record.generation++;
    this.#ejected++;
    this.#listener.ejected(index, reason, this.#durationOf(record));
  }

  #return(index: number): void {
    const record = this.#of(index);
    record.ejectedAt = undefined;
    record.consecutiveFailures = 0;
    record.generation++;
    this.#ejected--;
    this.#listener.returned(index);
  }

  #mayEject(): boolean {
    const size = this.#records.length;
    if (this.#ejected + 1 >= size) return false;
    return this.#ejected === 0 || (this.#ejected + 1) / size <= this.options.maxEjectionRatio;
  }

  #durationOf(record: Record): number {
    const { baseEjectionDuration, maxEjectionDuration } = this.options;
    return Math.min(baseEjectionDuration * record.ejections, maxEjectionDuration);
  }

  #of(index: number): Record {
    return this.#records[index] as Record;
  }
}

interface Counts {
  readonly calls: number;
  readonly successRate: number;
  readonly failureShare: number;
}

/** The rate below which a success rate is an outlier: so many standard deviations (of the population) below the mean. */
export function successRateThreshold(
  rates: readonly number[],
  deviationFactor: number,
): { readonly mean: number; readonly deviation: number; readonly threshold: number } {
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
  const deviation = Math.sqrt(variance);
  return { mean, deviation, threshold: mean - deviationFactor * deviation };
}
