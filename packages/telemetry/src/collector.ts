/**
 * Listens to pipelines and reads their descriptions, and keeps what they say as series of a bounded
 * number. What an exporter hands on is read from here.
 */
import {
  type Clock,
  checkOptions,
  clockRule,
  countRule,
  type Keyed,
  type OptionRules,
  observe,
  type Pipeline,
  registered,
  systemClock,
} from '@resil/core';
import { CircuitTimes } from './circuit-times.js';
import { measureDescription } from './measure-description.js';
import { measureEvent } from './measure-event.js';
import { type HistogramSink, type Reading, Recorder } from './recorder.js';

/** Options of a {@link Collector}, and of the exporters. */
export interface TelemetryOptions {
  /** What is looked at. Default: every pipeline of the process, also those that come later. */
  readonly pipelines?: readonly (Pipeline | Keyed)[] | undefined;
  /**
   * Keys that are shown as `resil.key`, those that come first; the rest is `other`. At 0 the attribute is
   * left out, and all keys of a pipeline count together. A key may say who somebody is.
   *
   * At least 0.
   *
   * @defaultValue `telemetryDefaults.maxKeys` (0)
   */
  readonly maxKeys?: number | undefined;
  /**
   * Values of each other attribute (names of pipelines and layers, error types, endpoints) that are shown,
   * those that come first; the rest is `other`.
   *
   * At least 1.
   *
   * @defaultValue `telemetryDefaults.maxValues` (100)
   */
  readonly maxValues?: number | undefined;
  /**
   * Series of each metric at most. What comes when there is no more room goes to one, whose attributes are
   * all `other`.
   *
   * At least 2.
   *
   * @defaultValue `telemetryDefaults.maxSeries` (1,000)
   */
  readonly maxSeries?: number | undefined;
  /**
   * Keys of each keyed pipeline whose state is read each time, those used last. Gauges, and the time that
   * circuits are closed, are of these.
   *
   * At least 0.
   *
   * @defaultValue `telemetryDefaults.maxDescribedKeys` (100)
   */
  readonly maxDescribedKeys?: number | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link TelemetryOptions}. */
export const telemetryDefaults: {
  readonly maxKeys: number;
  readonly maxValues: number;
  readonly maxSeries: number;
  readonly maxDescribedKeys: number;
} = Object.freeze({ maxKeys: 0, maxValues: 100, maxSeries: 1_000, maxDescribedKeys: 100 });

/** Checks {@link TelemetryOptions}, for exporters with more options of their own. */
export const telemetryRules: OptionRules<TelemetryOptions> = {
  pipelines: {
    test: (value) =>
      Array.isArray(value) &&
      value.every((one) => typeof one?.describe === 'function' && typeof one.on === 'function'),
    text: 'an array of pipelines and keyed pipelines',
  },
  maxKeys: countRule(0),
  maxValues: countRule(1),
  maxSeries: countRule(2),
  maxDescribedKeys: countRule(0),
  clock: clockRule,
};

/**
 * Measures pipelines from when it is made until it is stopped.
 *
 * @example
 * ```ts
 * import { pipeline, retry } from '@resil/core';
 *
 * const collector = new Collector();
 * await pipeline('quotes', retry({ maxAttempts: 3 })).execute(async () => 'answer');
 * const [calls] = collector.read();
 * console.log(calls?.series[0]?.attributes); // { 'resil.pipeline': 'quotes', 'resil.outcome': 'succeeded' }
 * collector.stop();
 * ```
 */
export class Collector {
  readonly #recorder: Recorder;
  readonly #circuits: CircuitTimes;
  readonly #pipelines: readonly (Pipeline | Keyed)[] | undefined;
  readonly #maxDescribedKeys: number;
  readonly #ends: readonly (() => void)[];
  #fresh = false;

  /**
   * With `histograms`, each value of a histogram goes there, and is not kept here.
   *
   * @throws {@link InvalidOptionError}
   */
  constructor(options: TelemetryOptions = {}, histograms?: HistogramSink) {
    checkOptions('telemetry', options, telemetryRules);
    const { pipelines, clock = systemClock } = options;
    const {
      maxKeys = telemetryDefaults.maxKeys,
      maxValues = telemetryDefaults.maxValues,
      maxSeries = telemetryDefaults.maxSeries,
      maxDescribedKeys = telemetryDefaults.maxDescribedKeys,
    } = options;
    this.#recorder = new Recorder({ maxKeys, maxValues, maxSeries }, histograms);
    this.#circuits = new CircuitTimes(this.#recorder, clock);
    this.#pipelines = pipelines;
    this.#maxDescribedKeys = maxDescribedKeys;
    const listener = (event: Parameters<typeof measureEvent>[0]): void =>
      measureEvent(event, this.#recorder, this.#circuits);
    this.#ends = pipelines?.map((one) => one.on(listener)) ?? [observe(listener)];
  }

  /**
   * All series, with gauges read anew. Whoever reads again before other work is done gets the same, so that
   * metrics that are asked for one by one belong together.
   */
  read(): readonly Reading[] {
    if (!this.#fresh) {
      this.#fresh = true;
      void Promise.resolve().then(() => {
        this.#fresh = false;
      });
      this.#describe();
    }
    return this.#recorder.readings;
  }

  /** Listens no more. */
  stop(): void {
    for (const end of this.#ends) end();
  }

  #describe(): void {
    this.#recorder.clearGauges();
    for (const pipeline of this.#pipelines ?? registered()) {
      const description = isKeyed(pipeline)
        ? pipeline.describe({ maxKeys: this.#maxDescribedKeys })
        : pipeline.describe();
      measureDescription(description, this.#recorder, this.#circuits);
    }
    this.#circuits.count();
  }
}

/** Not by its class: it may come from another copy of the core. */
function isKeyed(pipeline: Pipeline | Keyed): pipeline is Keyed {
  return 'for' in pipeline;
}
