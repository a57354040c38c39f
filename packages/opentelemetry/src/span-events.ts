/**
 * What happens to a call, as events of the span that was active when the call began. Timers and queues are
 * shared, so the span that is active when an event is told may be that of another call.
 */
import { type Attributes, type Span, trace } from '@opentelemetry/api';
import { observe, type ResilienceEvent, type ResilienceEventType } from '@resil/core';
import { eventFields, type TelemetryOptions } from '@resil/telemetry';

/** Events of a pipeline that become events of a span: what tells why a call took so long, or failed. */
export const spanEventTypes: readonly ResilienceEventType[] = Object.freeze([
  'retry.scheduled',
  'retry.exhausted',
  'budget.exhausted',
  'hedge.started',
  'hedge.won',
  'circuit.opened',
  'circuit.half-opened',
  'circuit.closed',
  'circuit.rejected',
  'bulkhead.queued',
  'bulkhead.dequeued',
  'bulkhead.rejected',
  'rate-limit.queued',
  'rate-limit.dequeued',
  'rate-limit.rejected',
  'limiter.queued',
  'limiter.dequeued',
  'limiter.rejected',
  'throttle.rejected',
  'timeout.expired',
  'fallback.used',
  'coalesce.joined',
  'cache.stale',
  'endpoint.skipped',
  'failover.moved',
]);

/** Fields of an event that are not attributes of a span's event, or not under their own name. */
const ELSEWHERE: ReadonlySet<string> = new Set(['event', 'at', 'key', 'errorType']);

/** Adds events to spans until the result is called. */
export function addSpanEvents({ pipelines, maxKeys = 0 }: TelemetryOptions): () => void {
  const types: ReadonlySet<string> = new Set(spanEventTypes);
  const spans = new WeakMap<object, Span>();
  const listener = (event: ResilienceEvent, call?: object): void => {
    if (call === undefined || event.type === 'call.succeeded') return;
    if (event.type === 'call.started') {
      const span = trace.getActiveSpan();
      if (span?.isRecording()) spans.set(call, span);
    } else if (types.has(event.type)) {
      spans.get(call)?.addEvent(spanEventName(event.type), attributesOf(event, maxKeys > 0));
    }
  };
  const ends = pipelines?.map((one) => one.on(listener)) ?? [observe(listener)];
  return () => {
    for (const end of ends) end();
  };
}

/** `resil.circuit.half_opened` */
function spanEventName(type: ResilienceEventType): string {
  return `resil.${type.replaceAll('-', '_')}`;
}

function attributesOf(event: ResilienceEvent, withKey: boolean): Attributes {
  const { errorType, key, ...fields } = eventFields(event);
  const attributes: Attributes = {};
  if (errorType !== undefined) attributes['error.type'] = errorType as string;
  if (withKey && key !== undefined) attributes['resil.key'] = key as string;
  for (const [name, value] of Object.entries(fields)) {
    if (ELSEWHERE.has(name)) continue;
    attributes[`resil.${snakeCased(name === 'name' ? 'callName' : name)}`] = Array.isArray(value)
      ? [...value]
      : (value as string | number | boolean);
  }
  return attributes;
}

function snakeCased(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
