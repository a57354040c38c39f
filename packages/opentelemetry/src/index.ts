// Metrics and span events

export {
  type InstrumentOptions,
  instrument,
  instrumentDefaults,
} from './instrument.js';
export { spanEventTypes } from './span-events.js';

// Spans

export {
  AttemptSpan,
  type AttemptSpanOptions,
  attemptSpan,
  attemptSpanDefaults,
} from './attempt-span.js';
