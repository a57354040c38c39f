// Metrics and span events

export {
  type InstrumentOptions,
  instrument,
  instrumentDefaults,
} from './instrument.js';
export {
  MetricProducer,
  metricProducer,
  type ProducedDescriptor,
  type ProducedHistogram,
  type ProducedMetric,
  type ProducedMetrics,
  type ProducedPoint,
} from './metric-producer.js';
export { spanEventTypes } from './span-events.js';

// Spans

export {
  AttemptSpan,
  type AttemptSpanOptions,
  attemptSpan,
  attemptSpanDefaults,
} from './attempt-span.js';
