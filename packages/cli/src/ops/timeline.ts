/**
 * The timeline of an incident, from a log of events: JSON lines, one \`ResilienceEvent\` each, as they are or
 * as a logger such as pino writes them (with its own members beside). What came in bursts is folded, so
 * that an hour of failures is a few lines, and memory is bounded whatever the log holds.
 */
import type { ResilienceEventType } from '@resil/core';

/** What happened, once or again and again. */
export interface TimelineEntry {
  /** Milliseconds on the clock of the events. */
  readonly at: number;
  /** When the last of it happened. */
  readonly until: number;
  /** Wall time of the first, in milliseconds since 1970; `undefined` where the log doesn't tell. */
  readonly time: number | undefined;
  readonly type: ResilienceEventType;
  readonly pipeline: string;
  readonly count: number;
  /** What went with it: reasons and error types, with how often each. */
  readonly details: Readonly<Record<string, number>>;
}

/** How a circuit fared. */
export interface CircuitOutage {
  readonly pipeline: string;
  readonly circuit: string;
  readonly openedAt: number;
  /** `undefined` if it was still open at the end of the log. */
  readonly closedAt: number | undefined;
}

/** What a log tells. */
export interface Timeline {
  readonly entries: readonly TimelineEntry[];
  readonly outages: readonly CircuitOutage[];
  /** How calls ended, by pipeline. */
  readonly calls: Readonly<Record<string, CallCounts>>;
  readonly firstAt: number;
  readonly lastAt: number;
  /** Lines that are no event. */
  readonly skipped: number;
  readonly events: number;
  /** Entries that there was no room for. */
  readonly dropped: number;
}

/** How calls ended. */
export interface CallCounts {
  readonly succeeded: number;
  readonly failed: number;
  readonly rejected: number;
  readonly aborted: number;
  readonly fallbacks: number;
}

/** Silence after which the same thing begins a new entry. */
const GAP = 10_000;
const MAX_ENTRIES = 1_000;
const MAX_PIPELINES = 1_000;
const MAX_DETAILS = 10;

/** Types that say nothing of an incident: they come with every call. */
const USUAL: ReadonlySet<string> = new Set([
  'call.started',
  'call.succeeded',
  'call.aborted',
  'bulkhead.queued',
  'bulkhead.dequeued',
  'rate-limit.queued',
  'rate-limit.dequeued',
  'limiter.queued',
  'limiter.dequeued',
  'limiter.limit-changed',
  'cache.hit',
  'cache.miss',
  'cache.stored',
  'coalesce.joined',
  'worker.started',
  'hedge.started',
  'hedge.won',
  'hedge.lost',
  'retry.scheduled',
]);

interface Line {
  readonly type: ResilienceEventType;
  readonly pipeline?: string | undefined;
  readonly key?: string | undefined;
  readonly strategy?: string | undefined;
  readonly at: number;
  readonly time?: unknown;
  readonly reason?: unknown;
  readonly errorType?: unknown;
  readonly endpoint?: unknown;
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

/** Reads a log line by line. */
export class TimelineReader {
  readonly #entries: Writable<TimelineEntry>[] = [];
  readonly #latest = new Map<string, Writable<TimelineEntry>>();
  readonly #outages: Writable<CircuitOutage>[] = [];
  readonly #open = new Map<string, Writable<CircuitOutage>>();
  readonly #calls = new Map<string, Writable<CallCounts>>();
  #firstAt = Infinity;
  #lastAt = -Infinity;
  #skipped = 0;
  #events = 0;
  #dropped = 0;

  /** Takes a line; one that is no event is counted and passed over. */
  read(text: string): void {
    if (text.trim() === '') return;
    const line = parsed(text);
    if (line === undefined) {
      this.#skipped += 1;
      return;
    }
    this.#events += 1;
    this.#firstAt = Math.min(this.#firstAt, line.at);
    this.#lastAt = Math.max(this.#lastAt, line.at);
    const pipeline = nameOf(line);
    this.#count(pipeline, line.type);
    this.#circuit(pipeline, line);
    if (!USUAL.has(line.type)) this.#enter(pipeline, line);
  }

  /** What was read. */
  finish(): Timeline {
    return {
      entries: [...this.#entries].sort((a, b) => a.at - b.at),
      outages: this.#outages,
      calls: Object.fromEntries(this.#calls),
      firstAt: this.#firstAt,
      lastAt: this.#lastAt,
      skipped: this.#skipped,
      events: this.#events,
      dropped: this.#dropped,
    };
  }

  #count(pipeline: string, type: ResilienceEventType): void {
    const counter = COUNTERS[type];
    if (counter === undefined) return;
    let counts = this.#calls.get(pipeline);
    if (counts === undefined) {
      if (this.#calls.size >= MAX_PIPELINES) return;
      counts = { succeeded: 0, failed: 0, rejected: 0, aborted: 0, fallbacks: 0 };
      this.#calls.set(pipeline, counts);
    }
    counts[counter] += 1;
  }

  #circuit(pipeline: string, { type, strategy = '', at }: Line): void {
    const id = JSON.stringify([pipeline, strategy]);
    const open = this.#open.get(id);
    if (type === 'circuit.opened' || type === 'circuit.isolated') {
      if (open !== undefined || this.#outages.length >= MAX_ENTRIES) return;
      const outage = { pipeline, circuit: strategy, openedAt: at, closedAt: undefined };
      this.#open.set(id, outage);
      this.#outages.push(outage);
    } else if (type === 'circuit.closed' && open !== undefined) {
      open.closedAt = at;
      this.#open.delete(id);
    }
  }

  #enter(pipeline: string, line: Line): void {
    const { type, at } = line;
    const id = JSON.stringify([pipeline, type]);
    let entry = this.#latest.get(id);
    if (entry === undefined || at - entry.until > GAP) {
      if (this.#entries.length >= MAX_ENTRIES) {
        this.#dropped += 1;
        return;
      }
      const time = wallTimeOf(line);
      entry = { at, until: at, time, type, pipeline, count: 0, details: {} };
      this.#entries.push(entry);
      this.#latest.set(id, entry);
    }
    entry.count += 1;
    entry.until = Math.max(entry.until, at);
    const detail = [line.endpoint, line.reason, line.errorType].filter(
      (part) => typeof part === 'string',
    );
    if (detail.length === 0) return;
    const details = entry.details as Record<string, number>;
    const name = detail.join(' ').slice(0, 100);
    const known = Object.hasOwn(details, name) || Object.keys(details).length < MAX_DETAILS;
    const shown = known ? name : 'other';
    details[shown] = (details[shown] ?? 0) + 1;
  }
}

const COUNTERS: Partial<Record<ResilienceEventType, keyof CallCounts>> = {
  'call.succeeded': 'succeeded',
  'call.failed': 'failed',
  'call.rejected': 'rejected',
  'call.aborted': 'aborted',
  'fallback.used': 'fallbacks',
};

function parsed(text: string): Line | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  // A logger may keep what it was given under a name of its own.
  const { event } = value as { event?: unknown };
  const line = (
    typeof event === 'object' && event !== null ? { ...value, ...event } : value
  ) as Line;
  const typed = typeof line.type === 'string' && /^[a-z-]+\.[a-z-]+$/.test(line.type);
  return typed && typeof line.at === 'number' && Number.isFinite(line.at) ? line : undefined;
}

function nameOf({ pipeline, key }: Line): string {
  const name = typeof pipeline === 'string' ? pipeline : 'without a name';
  return typeof key === 'string' && key !== name ? `${name} (${key})` : name;
}

function wallTimeOf({ time }: Line): number | undefined {
  if (typeof time === 'number') return time;
  const parsedTime = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  return Number.isNaN(parsedTime) ? undefined : parsedTime;
}
