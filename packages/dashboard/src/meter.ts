/** Turns what a pipeline tells of itself into rates, latencies and changes: one for each row that is shown. */
import { LatencyHistogram, type LayerDescription, type PipelineDescription } from '@resil/core';
import { type EventDigest, shortened } from './event-digest.js';
import { type LayerSamples, sampleLayers } from './layer-samples.js';
import type { BreakerSample, CallRates, LatencySample, PipelineSample } from './protocol.js';

/** Milliseconds for which a duration counts. */
const LATENCY_WINDOW = 10_000;
/** A tenth is near enough to be looked at, and small. */
const LATENCY_ERROR = 0.05;
/** Times of a state that differ by less are the same: they are measured anew each time. */
const SAME_TIME = 100;

/** Milliseconds that rates are measured over at least: over less they would be noise. */
const SHORTEST = 50;

/** A moment, on both scales. */
export interface Moment {
  /** On the clock's scale. */
  readonly now: number;
  /** Milliseconds since 1970. */
  readonly epoch: number;
}

/** Calls since the pipeline was made. */
export type CallCounts = CallRates;

/** No call. */
export const NO_CALLS: CallCounts = Object.freeze({
  succeeded: 0,
  failed: 0,
  rejected: 0,
  aborted: 0,
  retried: 0,
});

/** What one row is made from. */
export interface Measured {
  readonly id: string;
  readonly kind: PipelineSample['kind'];
  /** The row that its events are told of. */
  readonly about: string;
  readonly description: PipelineDescription;
  readonly layers: readonly LayerDescription[];
}

/** Rates, latencies and circuit states of one pipeline. */
export class Meter {
  #counts: CallCounts | undefined;
  #at: number;
  #rates: CallRates = NO_CALLS;
  #latency: LatencyHistogram | undefined;
  #breakers: readonly BreakerSample[] = [];

  /** `since` is a time at which there had been no calls; `undefined` if none is known. */
  constructor(since: number | undefined) {
    this.#counts = since === undefined ? undefined : NO_CALLS;
    this.#at = since ?? -Infinity;
  }

  /** Counts the duration of a call that ended. */
  record(duration: number, now: number): void {
    this.#latency ??= new LatencyHistogram({
      window: { duration: LATENCY_WINDOW },
      relativeErrorRatio: LATENCY_ERROR,
      clock: { now: () => now, schedule: () => () => {} },
    });
    this.#latency.record(duration, now);
  }

  /** Forgets durations: nobody records them any more. */
  forget(): void {
    this.#latency = undefined;
  }

  latency(now: number): LatencySample | null {
    const latency = this.#latency;
    if (latency === undefined || latency.count(now) === 0) return null;
    const at = (ratio: number): number => rounded(latency.quantile(ratio, now) ?? 0);
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  }

  /** Calls per second since it was last asked; as before if that was just now. */
  rates(counts: CallCounts, now: number): CallRates {
    const before = this.#counts ?? counts;
    const duration = now - this.#at;
    if (duration < SHORTEST) return this.#rates;
    this.#counts = counts;
    this.#at = now;
    const rate = (name: keyof CallCounts): number =>
      rounded((Math.max(0, counts[name] - before[name]) / duration) * 1_000);
    this.#rates = {
      succeeded: rate('succeeded'),
      failed: rate('failed'),
      rejected: rate('rejected'),
      aborted: rate('aborted'),
      retried: rate('retried'),
    };
    return this.#rates;
  }

  /** Counts from 0 from now on, and has `rates` until there are others. */
  restart(rates: CallRates, now: number): void {
    this.#counts = NO_CALLS;
    this.#at = now;
    this.#rates = rates;
  }

  /** A row. Where nobody hears events, changes of circuits are seen by it and told to `digest`. */
  sample(measured: Measured, moment: Moment, digest: EventDigest | undefined): PipelineSample {
    const { id, kind, about, description, layers } = measured;
    const { now, epoch } = moment;
    const found = sampleLayers(layers, epoch);
    const breakers = found.breakers.map((breaker) => steady(breaker, this.#breakers));
    if (digest !== undefined) this.#tellChanges(about, description.key, breakers, digest);
    this.#breakers = breakers;
    const { succeeded, failed, rejected, aborted } = description.counters;
    const counts = { succeeded, failed, rejected, aborted, retried: found.retries };
    return {
      id,
      kind,
      name: description.name === null ? null : shortened(description.name),
      key: description.key === null ? null : shortened(description.key),
      target: targetOf(description),
      ...partsOf(found),
      breakers,
      inFlight: description.state.inFlight,
      rates: this.rates(counts, now),
      latency: this.latency(now),
      keys: null,
    };
  }

  #tellChanges(
    pipeline: string,
    key: string | null,
    breakers: readonly BreakerSample[],
    digest: EventDigest,
  ): void {
    for (const { index, name, state, since, openings } of breakers) {
      const before = this.#breakers[index];
      if (before === undefined || before.state === state) continue;
      const where = { key: key ?? undefined, strategy: name };
      if (state === 'open') digest.note(pipeline, 'circuit.opened', since, { openings }, where);
      else if (state === 'half-open')
        digest.note(pipeline, 'circuit.half-opened', since, {}, where);
      else digest.note(pipeline, `circuit.${state}`, since, {}, where);
    }
  }
}

/** Where a pipeline's calls go, if that was told. */
export function targetOf({ dependency }: Pick<PipelineDescription, 'dependency'>): string | null {
  const target = dependency?.target ?? dependency?.client;
  return typeof target === 'string' ? shortened(target) : null;
}

function partsOf({ state, waiting, limits, budgets }: LayerSamples) {
  return { state, waiting, limits, budgets };
}

/** The same times as before, if they only look different because they were measured again. */
function steady(breaker: BreakerSample, before: readonly BreakerSample[]): BreakerSample {
  const known = before[breaker.index];
  if (known === undefined || known.state !== breaker.state) return breaker;
  const since = nearer(breaker.since, known.since);
  const { nextProbeAt } = breaker;
  if (nextProbeAt === null || known.nextProbeAt === null) return { ...breaker, since };
  return { ...breaker, since, nextProbeAt: nearer(nextProbeAt, known.nextProbeAt) };
}

function nearer(value: number, known: number): number {
  return Math.abs(value - known) < SAME_TIME ? known : value;
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
