/** When a hedge starts, and how many there may be: what all calls of one hedge have in common. */
import type { BudgetRefusal } from './attempt-budget.js';
import type { Clock } from './clock.js';
import { LatencyHistogram } from './latency-histogram.js';

/** How long an attempt may take before the next one starts beside it. */
export interface HedgeDelay {
  /** The delay in milliseconds as it was last told; `Infinity` for none. */
  readonly latest: number;
  /** The delay for a call that begins at `now`. */
  at(now: number): number;
  /** A first attempt took so long; one that did not succeed took at least so long. */
  record(duration: number, succeeded: boolean, now: number): void;
}

/** A delay that the user gave. */
export class FixedDelay implements HedgeDelay {
  readonly latest: number;

  constructor(delay: number) {
    this.latest = delay;
  }

  at(): number {
    return this.latest;
  }

  record(): void {}
}

/** What a delay is drawn from. */
export interface ObservedDelaySettings {
  readonly maxExtraLoad: number;
  readonly minDelay: number;
  readonly minimumCalls: number;
  readonly window: { readonly duration: number };
  readonly clock: Clock | undefined;
}

/** Milliseconds for which a delay is good; as in Finagle. */
const REFRESH_INTERVAL = 3_000;

/**
 * The duration that only the share `maxExtraLoad` of the first attempts exceed.
 *
 * What did not succeed, or lost, is known only to have taken at least so long. It counts where that is
 * longer than the delay; left out, the slow ones would be missing, the delay would shrink, and more
 * and more would be hedged. A failure that came sooner says nothing about how long an answer takes.
 */
export class ObservedDelay implements HedgeDelay {
  readonly #settings: ObservedDelaySettings;
  readonly #latencies: LatencyHistogram;
  #delay = Infinity;
  #goodUntil = -Infinity;

  constructor(settings: ObservedDelaySettings) {
    const { window, clock } = settings;
    this.#settings = settings;
    this.#latencies = new LatencyHistogram({ window, clock });
  }

  get latest(): number {
    return this.#delay;
  }

  at(now: number): number {
    if (now >= this.#goodUntil) this.#refresh(now);
    return this.#delay;
  }

  record(duration: number, succeeded: boolean, now: number): void {
    if (succeeded || duration >= this.#delay) this.#latencies.record(duration, now);
  }

  /** Without enough durations the delay stays as it is. */
  #refresh(now: number): void {
    const { maxExtraLoad, minDelay, minimumCalls } = this.#settings;
    if (this.#latencies.count(now) < minimumCalls) return;
    const bound = this.#latencies.quantileBound(1 - maxExtraLoad, now) as number;
    this.#delay = Math.max(minDelay, bound);
    this.#goodUntil = now + REFRESH_INTERVAL;
  }
}

/** Hedges that calls without one can save up: as many may start at once when everything gets slow. */
const MAX_SAVED = 10;

/** Keeps hedges a share of the calls, whatever the delay: never more than `ratio` per call since it was made. */
export class ExtraLoadCap {
  readonly name: string;
  readonly #ratio: number;
  #saved = 0;
  #taken = 0;

  constructor(name: string, ratio: number) {
    this.name = name;
    this.#ratio = ratio;
  }

  /** A call begins. */
  deposit(): void {
    this.#saved = Math.min(MAX_SAVED, this.#saved + this.#ratio);
  }

  /** Whether a hedge is allowed; fifty times 0.02 may be a little less than 1. */
  get allows(): boolean {
    return this.#saved >= 1 - 1e-9;
  }

  /** Takes out a hedge that is allowed. */
  withdraw(): void {
    this.#saved -= 1;
    this.#taken++;
  }

  refusal(): BudgetRefusal {
    return { reason: 'max-extra-load', used: this.#taken, limit: this.#taken + this.#saved };
  }
}
