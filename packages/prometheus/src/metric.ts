/**
 * A metric of prom-client whose values are not kept by it, but read when they are asked for: so a call costs
 * what the collector costs, and not the sorting and joining of labels.
 */
import {
  type Attributes,
  attributesOf,
  type Instrument,
  prometheusLabel,
  prometheusName,
  type Reading,
  type Series,
} from '@resil/telemetry';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** A value of a metric, as prom-client prints it. */
interface Value {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
}

/** Registers the metric of an instrument; gives its name. */
export function metricOf(
  instrument: Instrument,
  withKeys: boolean,
  read: () => Reading,
  registry: Registry,
): string {
  const { kind, description: help, buckets } = instrument;
  const name = prometheusName(instrument);
  const labelNames = attributesOf(instrument, withKeys).map(prometheusLabel);
  const config = { name, help, labelNames, registers: [registry] };
  const metric =
    kind === 'counter'
      ? new Counter(config)
      : kind === 'gauge'
        ? new Gauge(config)
        : new Histogram({ ...config, buckets: [...(buckets ?? [])] });
  const get = async (): Promise<object> => {
    const { series } = read();
    const values = series.flatMap((one) =>
      kind === 'histogram' ? histogramOf(name, one, buckets ?? []) : [plainOf(one)],
    );
    // The name is asked for anew: a registry for OpenMetrics changes it.
    const { name: current } = metric as unknown as { readonly name: string };
    return { name: current, help, type: kind, values, aggregator: instrument.fold ?? 'sum' };
  };
  // What a registry asks: for its text, for JSON, and for the text of histograms.
  Object.assign(metric, { get, getForPromString: get });
  return name;
}

function plainOf({ attributes, value }: Series): Value {
  return { value, labels: labelsOf(attributes) };
}

function histogramOf(name: string, series: Series, buckets: readonly number[]): readonly Value[] {
  const labels = labelsOf(series.attributes);
  let below = 0;
  const values: Value[] = [...buckets, '+Inf'].map((le, index) => {
    below += series.counts[index] as number;
    return { value: below, labels: { le, ...labels }, metricName: `${name}_bucket` };
  });
  values.push({ value: series.value, labels, metricName: `${name}_sum` });
  values.push({ value: series.count, labels, metricName: `${name}_count` });
  return values;
}

function labelsOf(attributes: Attributes): Record<string, string> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [prometheusLabel(name), value]),
  );
}
