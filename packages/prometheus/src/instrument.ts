/** The one line: metrics of all pipelines in a registry of prom-client. */
import { checkOptions, type OptionRules, objectRule } from '@resil/core';
import { Collector, type Reading, type TelemetryOptions, telemetryRules } from '@resil/telemetry';
import { type OpenMetricsContentType, type Registry, register } from 'prom-client';
import { metricOf } from './metric.js';

/** Options of {@link instrument}. */
export interface InstrumentOptions extends TelemetryOptions {
  /** Where the metrics are registered. Default: the global `register` of prom-client. */
  readonly registry?: Registry | Registry<OpenMetricsContentType> | undefined;
}

const rules: OptionRules<InstrumentOptions> = {
  ...telemetryRules,
  registry: objectRule(
    'a registry of prom-client',
    ({ registerMetric }) => typeof registerMetric === 'function',
  ),
};

/**
 * Puts metrics of pipelines into a registry of prom-client; the result takes them out again.
 *
 * @throws {@link InvalidOptionError}; `Error` of prom-client, if the registry has metrics of these names.
 * @example
 * ```ts
 * import { register } from 'prom-client';
 *
 * const stop = instrument();
 * console.log(await register.metrics());
 * stop();
 * ```
 */
export function instrument(options: InstrumentOptions = {}): () => void {
  checkOptions('instrument', options, rules);
  const { registry = register, maxKeys = 0, ...telemetry } = options;
  const collector = new Collector({ maxKeys, ...telemetry });
  const names: string[] = [];
  const stop = (): void => {
    for (const name of names) registry.removeSingleMetric(name);
    collector.stop();
  };
  try {
    for (const { instrument: one } of collector.read()) {
      const read = (): Reading =>
        collector.read().find((reading) => reading.instrument === one) as Reading;
      const metric = metricOf(one, maxKeys > 0, read, registry as Registry);
      names.push(metric);
    }
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
}
