/**
 * The log of what happened to the pipelines: JSON lines, as `resil ops --events` reads them. It is bounded,
 * and written in a few large pieces, so that it costs the service next to nothing.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { ResilienceEvent } from '@resil/core';

/** Lines of a log: a whole run has about half as many. */
const MAX_LINES = 100_000;

/** Come with every call, and say nothing of an incident. */
const USUAL: ReadonlySet<ResilienceEvent['type']> = new Set([
  'call.started',
  'bulkhead.queued',
  'bulkhead.dequeued',
]);

/** Writes events to a file, over what was there. */
export class EventLog {
  readonly #file: number;
  readonly #maxLines: number;
  #lines = 0;
  #waiting: string[] = [];

  constructor(file: string, maxLines: number = MAX_LINES) {
    this.#file = openSync(file, 'w');
    this.#maxLines = maxLines;
  }

  /** Takes an event; what is beyond the bound is left out. */
  readonly take = (event: ResilienceEvent): void => {
    if (USUAL.has(event.type) || this.#lines >= this.#maxLines) return;
    this.#lines += 1;
    // The event's own moment is of a clock that nobody else has. Its error isn't enumerable, so that nothing
    // of a call gets into the file.
    this.#waiting.push(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
  };

  /** Writes what was taken since the last time. */
  flush(): void {
    if (this.#waiting.length === 0) return;
    writeSync(this.#file, this.#waiting.join(''));
    this.#waiting = [];
  }

  close(): void {
    this.flush();
    closeSync(this.#file);
  }
}
