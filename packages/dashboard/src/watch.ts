/**
 * What is known of one pipeline, or one set of keyed ones, while it is shown. It holds them only weakly,
 * and hears their events only while it is told to: without a listener a call costs what it always does.
 */
import { type Keyed, type KeyedDescription, Pipeline, type ResilienceEvent } from '@resil/core';
import { type EventDigest, shortened } from './event-digest.js';
import { flatLayers, worstOf } from './layer-samples.js';
import { breakersOf, describeWithin, type Switchable } from './live-layers.js';
import { type CallCounts, Meter, type Moment, NO_CALLS, targetOf } from './meter.js';
import type { CallRates, PipelineSample } from './protocol.js';

/** What a watch needs of who it belongs to. */
export interface WatchSurroundings {
  readonly digest: EventDigest;
  /** Milliseconds since 1970, and on the clock's scale. */
  moment(): Moment;
}

/** What can be watched. */
export type Watched = Pipeline | Keyed;

/** A watch of a pipeline or of keyed ones. */
export interface Watch {
  /** Hears events, or no longer. */
  heed(watched: Watched, heeding: boolean): void;
  /** A row. `maxKeys` is how many keys may be shown, `maxLooked` how many may be looked at. */
  sample(watched: Watched, moment: Moment, maxKeys: number, maxLooked: number): PipelineSample;
  /** The circuit breakers of row `id`. */
  breakers(watched: Watched, id: string): readonly Switchable[];
  /** Takes its listener off. */
  end(): void;
}

/** `since` is a time at which it was not there yet; `undefined` if none is known. */
export function watch(
  id: string,
  watched: Watched,
  surroundings: WatchSurroundings,
  since: number | undefined,
): Watch {
  return isPipeline(watched)
    ? new PipelineWatch(id, surroundings, since)
    : new KeyedWatch(id, surroundings, since);
}

/** Told by shape: it may come from another copy of the core. */
function isPipeline(watched: Watched): watched is Pipeline {
  return watched instanceof Pipeline || 'layers' in watched;
}

class PipelineWatch implements Watch {
  readonly #id: string;
  readonly #surroundings: WatchSurroundings;
  readonly #meter: Meter;
  #end: (() => void) | undefined;

  constructor(id: string, surroundings: WatchSurroundings, since: number | undefined) {
    this.#id = id;
    this.#surroundings = surroundings;
    this.#meter = new Meter(since);
  }

  heed(watched: Watched, heeding: boolean): void {
    if (!heeding) this.end();
    else this.#end ??= watched.on((event) => this.#hear(event));
  }

  sample(watched: Watched, moment: Moment): PipelineSample {
    const pipeline = watched as Pipeline;
    const digest = this.#end === undefined ? this.#surroundings.digest : undefined;
    const description = pipeline.describe();
    const layers = [...flatLayers(description.layers), ...describeWithin(pipeline)];
    return this.#meter.sample(
      { id: this.#id, kind: 'pipeline', about: this.#id, description, layers },
      moment,
      digest,
    );
  }

  breakers(watched: Watched, id: string): readonly Switchable[] {
    return id === this.#id ? breakersOf(watched as Pipeline) : [];
  }

  end(): void {
    this.#end?.();
    this.#end = undefined;
    this.#meter.forget();
  }

  #hear(event: ResilienceEvent): void {
    const { now, epoch } = this.#surroundings.moment();
    if (hasDuration(event)) this.#meter.record(event.duration, now);
    this.#surroundings.digest.add(this.#id, event, epoch);
  }
}

/** A key that was looked at, and what its row is made from. */
interface KeyRow {
  readonly id: string;
  readonly meter: Meter;
}

class KeyedWatch implements Watch {
  readonly #id: string;
  readonly #surroundings: WatchSurroundings;
  readonly #meter: Meter;
  /** Keys that were used last; others are forgotten. */
  #rows = new Map<string, KeyRow>();
  #nextKey = 1;
  /** Keys made until the last sample, and when that was. */
  #created: number | undefined;
  #sampledAt: number | undefined;
  /** What was heard of all keys since events are heard. */
  #heard: { -readonly [Name in keyof CallCounts]: number } = { ...NO_CALLS };
  #rates: CallRates = NO_CALLS;
  #end: (() => void) | undefined;

  constructor(id: string, surroundings: WatchSurroundings, since: number | undefined) {
    this.#id = id;
    this.#surroundings = surroundings;
    this.#meter = new Meter(undefined);
    this.#sampledAt = since;
    if (since !== undefined) this.#created = 0;
  }

  heed(watched: Watched, heeding: boolean): void {
    if (!heeding) {
      this.end();
      return;
    }
    if (this.#end !== undefined) return;
    this.#heard = { ...NO_CALLS };
    this.#meter.restart(this.#rates, this.#surroundings.moment().now);
    this.#end = watched.on((event) => this.#hear(event));
  }

  sample(watched: Watched, moment: Moment, maxKeys: number, maxLooked: number): PipelineSample {
    const description = (watched as Keyed).describe({ maxKeys: maxLooked });
    const rows = this.#sampleKeys(description, moment);
    this.#rates = this.#measure(rows, moment.now);
    const shown = [...rows].sort(byActivity).slice(0, maxKeys);
    const sum = (of: (row: PipelineSample) => number): number =>
      rows.reduce((total, row) => total + of(row), 0);
    return {
      id: this.#id,
      kind: 'keyed',
      name: description.name === null ? (rows[0]?.name ?? null) : shortened(description.name),
      key: null,
      target: targetOf(description) ?? rows[0]?.target ?? null,
      state: worstOf(rows.map(({ state }) => state)),
      inFlight: sum((row) => row.inFlight),
      waiting: sum((row) => row.waiting),
      rates: this.#rates,
      latency: this.#meter.latency(moment.now),
      breakers: [],
      limits: [],
      budgets: [],
      keys: { known: description.state.keys, shown },
    };
  }

  breakers(watched: Watched, id: string): readonly Switchable[] {
    for (const [key, row] of this.#rows) {
      // Making a key anew would say that it is in use.
      if (row.id === id && isKnown(watched as Keyed, key))
        return breakersOf((watched as Keyed).for(key));
    }
    return [];
  }

  end(): void {
    this.#end?.();
    this.#end = undefined;
    this.#meter.forget();
    for (const { meter } of this.#rows.values()) meter.forget();
  }

  #sampleKeys(description: KeyedDescription, moment: Moment): readonly PipelineSample[] {
    const since = this.#sinceOfNewKeys(description);
    const digest = this.#end === undefined ? this.#surroundings.digest : undefined;
    const rows = new Map<string, KeyRow>();
    const samples = description.pipelines.map((pipeline) => {
      const row = this.#rows.get(pipeline.key) ?? this.#newRow(since);
      rows.set(pipeline.key, row);
      const layers = flatLayers(pipeline.layers);
      const measured = {
        id: row.id,
        kind: 'key',
        about: this.#id,
        description: pipeline,
        layers,
      } as const;
      return row.meter.sample(measured, moment, digest);
    });
    this.#rows = rows;
    this.#created = description.counters.created ?? 0;
    this.#sampledAt = moment.now;
    return samples;
  }

  /** Keys that were not looked at before may be old ones, used again: unless as many were made meanwhile. */
  #sinceOfNewKeys({ counters, pipelines }: KeyedDescription): number | undefined {
    if (this.#created === undefined) return undefined;
    const unknown = pipelines.filter(({ key }) => !this.#rows.has(key)).length;
    return unknown <= (counters.created ?? 0) - this.#created ? this.#sampledAt : undefined;
  }

  #newRow(since: number | undefined): KeyRow {
    return { id: `${this.#id}/${this.#nextKey++}`, meter: new Meter(since) };
  }

  #measure(rows: readonly PipelineSample[], now: number): CallRates {
    if (this.#end !== undefined) return this.#meter.rates({ ...this.#heard }, now);
    const total = { ...NO_CALLS } as { -readonly [Name in keyof CallRates]: number };
    for (const { rates } of rows) {
      for (const name of Object.keys(total) as (keyof CallRates)[])
        total[name] = Math.round((total[name] + rates[name]) * 100) / 100;
    }
    return total;
  }

  #hear(event: ResilienceEvent): void {
    const { now, epoch } = this.#surroundings.moment();
    const counter = COUNTER_OF[event.type];
    if (counter !== undefined) this.#heard[counter]++;
    const row = event.key === undefined ? undefined : this.#rows.get(event.key);
    if (hasDuration(event)) {
      this.#meter.record(event.duration, now);
      row?.meter.record(event.duration, now);
    }
    this.#surroundings.digest.add(this.#id, event, epoch);
  }
}

const COUNTER_OF: { readonly [type: string]: keyof CallCounts } = {
  'call.succeeded': 'succeeded',
  'call.failed': 'failed',
  'call.rejected': 'rejected',
  'call.aborted': 'aborted',
  'retry.scheduled': 'retried',
};

function hasDuration(
  event: ResilienceEvent,
): event is ResilienceEvent & { readonly type: 'call.succeeded' | 'call.failed' } {
  return event.type === 'call.succeeded' || event.type === 'call.failed';
}

function byActivity(a: PipelineSample, b: PipelineSample): number {
  const [first, second] = [activity(a), activity(b)];
  return first === second ? 0 : second - first;
}

/** Keys in trouble come before the most active ones. */
function activity({ state, rates, inFlight }: PipelineSample): number {
  if (state !== null && state !== 'closed') return Infinity;
  return rates.succeeded + rates.failed + rates.rejected + rates.aborted + inFlight;
}

function isKnown(keyed: Keyed, key: string): boolean {
  return keyed.describe({ maxKeys: Infinity }).pipelines.some((pipeline) => pipeline.key === key);
}
