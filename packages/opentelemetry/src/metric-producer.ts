/**
 * The same metrics by another way: a producer that the SDK's metric readers ask for all of them. Histograms
 * are filled here then, which costs a call half of what recording each value through the API does: for that
 * the SDK sorts and joins the attributes every time.
 *
 * @see https://opentelemetry.io/docs/specs/otel/metrics/sdk/#metricproducer
 */
import { type Attributes, type HrTime, ValueType } from '@opentelemetry/api';
import { type Clock, checkOptions, systemClock } from '@resil/core';
import {
  Collector,
  type Reading,
  type Series,
  type TelemetryOptions,
  telemetryRules,
} from '@resil/telemetry';

/** A point of a metric. */
export interface ProducedPoint<Value> {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly attributes: Attributes;
  readonly value: Value;
}

/** The values of a histogram. */
export interface ProducedHistogram {
  buckets: { boundaries: number[]; counts: number[] };
  sum: number;
  count: number;
}

/** What is said of a metric. */
export interface ProducedDescriptor {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  readonly valueType: ValueType;
}

/** A metric as the SDK's readers take it; `dataPointType` and `aggregationTemporality` are the SDK's numbers. */
export type ProducedMetric = {
  readonly descriptor: ProducedDescriptor;
  /** Cumulative. */
  readonly aggregationTemporality: 1;
} & (
  | { readonly dataPointType: 0; readonly dataPoints: ProducedPoint<ProducedHistogram>[] }
  | { readonly dataPointType: 2; readonly dataPoints: ProducedPoint<number>[] }
  | {
      readonly dataPointType: 3;
      readonly dataPoints: ProducedPoint<number>[];
      readonly isMonotonic: true;
    }
);

/** What a reader gets. */
export interface ProducedMetrics {
  resourceMetrics: {
    /** The reader takes that of its SDK. */
    resource: never;
    scopeMetrics: { scope: { name: string }; metrics: ProducedMetric[] }[];
  };
  errors: unknown[];
}

/** Measures pipelines from when it is made until it is stopped. Shared by all readers that it is given to. */
export class MetricProducer {
  readonly #collector: Collector;
  readonly #clock: Clock;
  readonly #startTime: HrTime;

  /** @throws {@link InvalidOptionError} */
  constructor(options: TelemetryOptions = {}) {
    checkOptions('metricProducer', options, telemetryRules);
    this.#clock = options.clock ?? systemClock;
    this.#collector = new Collector(options);
    this.#startTime = this.#time();
  }

  /** All metrics that have a value, for a reader. */
  collect(): Promise<ProducedMetrics> {
    const endTime = this.#time();
    const metrics = this.#collector
      .read()
      .filter(({ series }) => series.length > 0)
      .map((reading) => metricOf(reading, this.#startTime, endTime));
    const scopeMetrics = [{ scope: { name: '@resil/opentelemetry' }, metrics }];
    return Promise.resolve({
      resourceMetrics: { resource: undefined as never, scopeMetrics },
      errors: [],
    });
  }

  /** Listens no more. */
  stop(): void {
    this.#collector.stop();
  }

  #time(): HrTime {
    const milliseconds = this.#clock.epoch?.() ?? this.#clock.now();
    const seconds = Math.floor(milliseconds / 1_000);
    return [seconds, Math.round((milliseconds - seconds * 1_000) * 1e6)];
  }
}

/**
 * Metrics of pipelines for a metric reader of the SDK, instead of a meter.
 *
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * const producer = metricProducer({ maxKeys: 20 });
 * // new PeriodicExportingMetricReader({ exporter, metricProducers: [producer] })
 * producer.stop();
 * ```
 */
export function metricProducer(options: TelemetryOptions = {}): MetricProducer {
  return new MetricProducer(options);
}

function metricOf(
  { instrument, series }: Reading,
  startTime: HrTime,
  endTime: HrTime,
): ProducedMetric {
  const { name, description, unit, kind, buckets = [] } = instrument;
  const base = {
    descriptor: { name, description, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: 1,
  } as const;
  const pointsOf = <Value>(read: (one: Series) => Value): ProducedPoint<Value>[] =>
    series.map((one) => ({
      startTime,
      endTime,
      attributes: one.attributes,
      value: read(one),
    }));
  const plain = pointsOf(({ value }) => value);
  if (kind === 'gauge') return { ...base, dataPointType: 2, dataPoints: plain };
  if (kind === 'counter')
    return { ...base, dataPointType: 3, dataPoints: plain, isMonotonic: true };
  const dataPoints = pointsOf(({ counts, count, value }) => ({
    buckets: { boundaries: [...buckets], counts: [...counts] },
    sum: value,
    count,
  }));
  return { ...base, dataPointType: 0, dataPoints };
}
