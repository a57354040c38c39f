/** The one line: metrics of all pipelines through a meter, and what happens to a call on its span. */
import {
  type BatchObservableCallback,
  type Meter,
  metrics,
  type Observable,
} from '@opentelemetry/api';
import {
  booleanRule,
  checkOptions,
  eitherRule,
  type OptionRules,
  objectRule,
  oneOfRule,
} from '@resil/core';
import {
  Collector,
  type HistogramSink,
  type Instrument,
  instruments,
  type TelemetryOptions,
  telemetryRules,
} from '@resil/telemetry';
import { addSpanEvents } from './span-events.js';

/** Options of {@link instrument}. */
export interface InstrumentOptions extends TelemetryOptions {
  /**
   * What metrics are made with; `false` for none. Default: a meter of the global provider, which must have
   * been set before.
   */
  readonly meter?: Meter | false | undefined;
  /**
   * Whether the span that is active when a call begins gets what happens to the call as events.
   *
   * @defaultValue `instrumentDefaults.spanEvents` (`true`)
   */
  readonly spanEvents?: boolean | undefined;
}

/** Defaults of {@link InstrumentOptions}. */
export const instrumentDefaults: { readonly spanEvents: boolean } = Object.freeze({
  spanEvents: true,
});

const rules: OptionRules<InstrumentOptions> = {
  ...telemetryRules,
  meter: eitherRule(
    objectRule('a meter', ({ createHistogram }) => typeof createHistogram === 'function'),
    oneOfRule(false),
  ),
  spanEvents: booleanRule,
};

/**
 * Hands metrics and span events of pipelines to OpenTelemetry; the result ends it.
 *
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * const stop = instrument({ maxKeys: 20 });
 * stop();
 * ```
 */
export function instrument(options: InstrumentOptions = {}): () => void {
  checkOptions('instrument', options, rules);
  const {
    meter = metrics.getMeter('@resil/opentelemetry'),
    spanEvents = instrumentDefaults.spanEvents,
    ...telemetry
  } = options;
  const ends: (() => void)[] = [];
  if (meter !== false) ends.push(addMetrics(meter, telemetry));
  if (spanEvents) ends.push(addSpanEvents(telemetry));
  return () => {
    for (const end of ends) end();
  };
}

function addMetrics(meter: Meter, options: TelemetryOptions): () => void {
  const histograms = new Map<Instrument, ReturnType<Meter['createHistogram']>>();
  const observables = new Map<Instrument, Observable>();
  for (const one of Object.values(instruments)) {
    const { name, kind, unit, description, buckets } = one;
    if (kind === 'histogram') {
      const advice = { explicitBucketBoundaries: [...(buckets ?? [])] };
      histograms.set(one, meter.createHistogram(name, { unit, description, advice }));
    } else if (kind === 'counter') {
      observables.set(one, meter.createObservableCounter(name, { unit, description }));
    } else observables.set(one, meter.createObservableGauge(name, { unit, description }));
  }
  const record: HistogramSink = (one, value, attributes) =>
    histograms.get(one)?.record(value, attributes);
  const collector = new Collector(options, record);
  const observe: BatchObservableCallback = (result) => {
    for (const { instrument: one, series } of collector.read()) {
      const observable = observables.get(one);
      if (observable === undefined) continue;
      for (const { attributes, value } of series) result.observe(observable, value, attributes);
    }
  };
  meter.addBatchObservableCallback(observe, [...observables.values()]);
  return () => {
    meter.removeBatchObservableCallback(observe, [...observables.values()]);
    collector.stop();
  };
}
