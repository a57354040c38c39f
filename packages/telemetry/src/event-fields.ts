/** An event as fields of a line of a log or of an event of a span, and as a text. */
import type { ResilienceEvent } from '@resil/core';
import { phrases } from './log-levels.js';
import { shownErrorType, withoutSecrets } from './shown-values.js';

/** An event's type as `event`, and whatever else of it is a text or a number. */
export type EventFields = {
  readonly [name: string]: string | number | boolean | readonly number[];
};

/** What may be told of an event: no error but its code or name, and nothing that the caller aborted with. */
export function eventFields(event: ResilienceEvent): EventFields {
  const fields: Record<string, EventFields[string]> = { event: event.type };
  for (const [name, value] of Object.entries(event) as [string, unknown][]) {
    if (name === 'type' || (event.type === 'call.aborted' && name === 'reason')) continue;
    if (name === 'errorType') {
      if (value !== undefined) fields[name] = shownErrorType(value as string);
    } else if (typeof value === 'string') fields[name] = withoutSecrets(value);
    else if (typeof value === 'number' || typeof value === 'boolean') fields[name] = value;
    else if (Array.isArray(value) && value.every((one) => typeof one === 'number'))
      fields[name] = value;
  }
  return fields;
}

/** What a reader sees first. */
export function messageOf(fields: EventFields): string {
  const { event, pipeline = 'unnamed', strategy, reason, state, errorType, endpoint, to } = fields;
  const details = [strategy, reason ?? state, errorType, endpoint, to].filter(
    (one) => one !== undefined,
  );
  const phrase = phrases[event as ResilienceEvent['type']] ?? event;
  return `${pipeline}: ${phrase}${details.length === 0 ? '' : ` (${details.join(', ')})`}`;
}
