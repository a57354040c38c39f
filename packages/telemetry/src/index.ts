// Metrics

export {
  Collector,
  type TelemetryOptions,
  telemetryDefaults,
  telemetryRules,
} from './collector.js';
export {
  type AttributeName,
  type Instrument,
  type InstrumentId,
  type InstrumentKind,
  instruments,
  prometheusLabel,
  prometheusName,
} from './instruments.js';
export { attributesOf, type HistogramSink, type Reading } from './recorder.js';
export type { Attributes, Series } from './series.js';

// Logs and traces

export { type EventFields, eventFields } from './event-fields.js';
export { type EventLogger, type LogOptions, logDefaults, logEvents } from './log-events.js';
export { type LogLevel, type LogLevels, logLevels } from './log-levels.js';
export { errorTypeOf } from './shown-values.js';
