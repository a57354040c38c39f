/** An event as a line of a log. */
import type { ResilienceEvent } from '@resil/core';
import { phrases } from './log-levels.js';
import { errorTypeOf, withoutSecrets } from './shown-values.js';

/** What a line holds beside its text: the event's type, and whatever of it is a text or a number. */
export type LogFields = { readonly [name: string]: string | number | boolean | readonly number[] };

/** Fields of an event. No error, and nothing that the caller aborted with. */
export function fieldsOf(event: ResilienceEvent): LogFields {
  const fields: Record<string, LogFields[string]> = { event: event.type };
  for (const [name, value] of Object.entries(event) as [string, unknown][]) {
    if (name === 'type' || (event.type === 'call.aborted' && name === 'reason')) continue;
    if (name === 'errorType') {
      if (value !== undefined) fields[name] = errorTypeOf(value as string);
    } else if (typeof value === 'string') fields[name] = withoutSecrets(value);
    else if (typeof value === 'number' || typeof value === 'boolean') fields[name] = value;
    else if (Array.isArray(value) && value.every((one) => typeof one === 'number'))
      fields[name] = value;
  }
  return fields;
}

/** What a reader sees first. */
export function messageOf(fields: LogFields): string {
  const { event, pipeline = 'unnamed', strategy, reason, state, errorType, endpoint, to } = fields;
  const details = [strategy, reason ?? state, errorType, endpoint, to].filter(
    (one) => one !== undefined,
  );
  const phrase = phrases[event as ResilienceEvent['type']] ?? event;
  return `${pipeline}: ${phrase}${details.length === 0 ? '' : ` (${details.join(', ')})`}`;
}
