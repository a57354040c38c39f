/** Events that are much alike become one line: a circuit that refuses tells so each second. */
import type { EventSample } from '../protocol.js';
import { isChange } from './words.js';

/** One line. */
export interface EventGroup {
  /** The latest. */
  readonly event: EventSample;
  readonly count: number;
  /** When the first of them was. */
  readonly since: number;
}

/** Events that are further apart are two lines, in ms. */
const APART = 60_000;

/** Latest first. Changes of state stay as they are, each at its time. */
export function grouped(events: readonly EventSample[]): readonly EventGroup[] {
  const groups: { event: EventSample; count: number; since: number }[] = [];
  const open = new Map<string, (typeof groups)[number]>();
  for (let index = events.length - 1; index >= 0; index--) {
    const event = events[index] as EventSample;
    const { errorType, reason, endpoint } = event.details;
    const kind = isChange(event)
      ? event.id
      : [event.pipeline, event.type, event.strategy, event.key, errorType, reason, endpoint];
    const alike = JSON.stringify(kind);
    const group = open.get(alike);
    if (group !== undefined && group.since - event.at <= APART) {
      group.count += event.count;
      group.since = event.at;
      continue;
    }
    const next = { event, count: event.count, since: event.at };
    open.set(alike, next);
    groups.push(next);
  }
  return groups;
}
