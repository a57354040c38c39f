/**
 * What happened, short enough to be read: events of a kind that come between two samples are folded
 * into one with a count, what happens on every good call is left out, and no more is kept than there is
 * room for.
 */
import type { ResilienceEvent } from '@resil/core';
import type { EventSample } from './protocol.js';

/** Kinds of events told between two samples at most; what circuits do has as much room again. */
const MAX_KINDS = 200;
/** Characters of a name, key or field. */
export const MAX_TEXT = 200;

/** What happens when all is well, or is told by another event as well. */
const QUIET: ReadonlySet<string> = new Set([
  'call.started',
  'call.succeeded',
  'call.aborted',
  'retry.scheduled',
  'circuit.rejected',
  'bulkhead.queued',
  'bulkhead.dequeued',
  'rate-limit.queued',
  'rate-limit.dequeued',
  'limiter.queued',
  'limiter.dequeued',
  'cache.hit',
  'cache.miss',
  'cache.stored',
  'hedge.started',
  'hedge.lost',
  'coalesce.joined',
  'worker.started',
]);

/** Fields that are told; all others, the error above all, are not. */
const DETAILS = [
  'errorType',
  'reason',
  'state',
  'openings',
  'delay',
  'duration',
  'running',
  'inFlight',
  'limit',
  'previous',
  'rejectionRatio',
  'wanted',
  'used',
  'hedge',
  'endpoint',
  'from',
  'to',
  'available',
  'enforced',
  'partition',
  'attempts',
  'age',
  'observed',
] as const;

/** Fields by which events are of one kind. */
const KIND = ['errorType', 'reason', 'state', 'endpoint', 'observed'] as const;

type Details = { [name: string]: string | number | boolean };
type Draft = { -readonly [Name in keyof EventSample]: EventSample[Name] };

/** Collects what happens in a process until it is told. */
export class EventDigest {
  #kinds = new Map<string, Draft>();
  #nextId = 1;

  /** Adds an event of the pipeline `pipeline`; `at` is on the scale of 1970. */
  add(pipeline: string, event: ResilienceEvent, at: number): void {
    if (QUIET.has(event.type)) return;
    const details = detailsOf(event);
    const { key, strategy } = event as { key?: string; strategy?: string };
    this.note(pipeline, event.type, at, details, { key, strategy });
  }

  /** Adds what was seen rather than heard. */
  note(
    pipeline: string,
    type: string,
    at: number,
    details: Details,
    { key, strategy }: { key?: string | undefined; strategy?: string | undefined },
  ): void {
    const kind = JSON.stringify([pipeline, type, key, strategy, KIND.map((name) => details[name])]);
    const known = this.#kinds.get(kind);
    if (known !== undefined) {
      known.count++;
      known.at = at;
      known.details = details;
      return;
    }
    const room = type.startsWith('circuit.') ? 2 * MAX_KINDS : MAX_KINDS;
    if (this.#kinds.size >= room) return;
    this.#kinds.set(kind, {
      id: this.#nextId++,
      at,
      pipeline,
      type,
      key: key === undefined ? null : shortened(key),
      strategy: strategy === undefined ? null : shortened(strategy),
      count: 1,
      details,
    });
  }

  /** What was added since it was last taken, oldest first. */
  take(): readonly EventSample[] {
    if (this.#kinds.size === 0) return [];
    const taken = [...this.#kinds.values()].sort((a, b) => a.at - b.at || a.id - b.id);
    this.#kinds = new Map();
    return taken;
  }
}

/** A text, no longer than is shown. */
export function shortened(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text;
}

function detailsOf(event: ResilienceEvent): Details {
  const details: Details = {};
  for (const name of DETAILS) {
    const value = (event as unknown as Record<string, unknown>)[name];
    if (typeof value === 'string') details[name] = shortened(value);
    else if (typeof value === 'boolean') details[name] = value;
    else if (typeof value === 'number' && Number.isFinite(value))
      details[name] = Math.round(value * 100) / 100;
  }
  return details;
}
