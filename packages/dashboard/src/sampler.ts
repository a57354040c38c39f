/**
 * The process's own pipelines, as rows: every `interval` anew while somebody looks, at leisure while
 * nobody does. Events are heard only meanwhile, or if asked for.
 */
import { type Clock, registered } from '@resil/core';
import { EventDigest } from './event-digest.js';
import type { Switchable } from './live-layers.js';
import type { Moment } from './meter.js';
import type { EventSample, PipelineSample } from './protocol.js';
import { type Watch, type Watched, watch } from './watch.js';

/** Keys of keyed pipelines that are looked at for one sample at most, all sets together. */
const MAX_LOOKED = 1_000;
/** For each key that is shown, so many are looked at to find the most active. */
const LOOKED_PER_SHOWN = 4;

/** How much is shown. */
export interface SamplerOptions {
  readonly clock: Clock;
  readonly maxPipelines: number;
  readonly maxKeys: number;
}

/** The process at one moment. */
export interface OwnSample {
  readonly pipelines: readonly PipelineSample[];
  /** Pipelines beyond `maxPipelines`. */
  readonly hidden: number;
  readonly events: readonly EventSample[];
}

/** Looks at the pipelines of the process. */
export class Sampler {
  readonly #options: SamplerOptions;
  readonly #digest = new EventDigest();
  readonly #idOf = new WeakMap<Watched, string>();
  #watches = new Map<string, Watch>();
  #nextId = 1;
  #heeding = false;
  #sampledAt: number | undefined;

  constructor(options: SamplerOptions) {
    this.#options = options;
  }

  /** Hears events from now on, or no longer. */
  heed(heeding: boolean): void {
    if (heeding === this.#heeding) return;
    this.#heeding = heeding;
    if (!heeding) for (const known of this.#watches.values()) known.end();
  }

  sample(): OwnSample {
    const moment = this.moment();
    const all = registered();
    const shown = all.slice(0, this.#options.maxPipelines);
    const { maxKeys } = this.#options;
    const keyed = shown.filter((watched) => 'for' in watched).length;
    const share = Math.floor(MAX_LOOKED / Math.max(1, keyed));
    const maxLooked = Math.max(maxKeys, Math.min(maxKeys * LOOKED_PER_SHOWN, share));
    const watches = new Map<string, Watch>();
    const pipelines = shown.map((watched) => {
      const id = this.#nameOf(watched);
      const known = this.#watches.get(id) ?? this.#watch(id, watched);
      watches.set(id, known);
      known.heed(watched, this.#heeding);
      return known.sample(watched, moment, maxKeys, maxLooked);
    });
    for (const [id, known] of this.#watches) if (!watches.has(id)) known.end();
    this.#watches = watches;
    this.#sampledAt = moment.now;
    return { pipelines, hidden: all.length - shown.length, events: this.#digest.take() };
  }

  /** The circuit breakers of a row. */
  breakers(id: string): readonly Switchable[] {
    for (const watched of registered()) {
      const own = this.#idOf.get(watched);
      if (own === undefined || (id !== own && !id.startsWith(`${own}/`))) continue;
      return this.#watches.get(own)?.breakers(watched, id) ?? [];
    }
    return [];
  }

  /** Takes every listener off. */
  end(): void {
    this.heed(false);
    this.#watches.clear();
  }

  moment(): Moment {
    const { clock } = this.#options;
    return { now: clock.now(), epoch: Math.round(clock.epoch?.() ?? clock.now()) };
  }

  #watch(id: string, watched: Watched): Watch {
    const surroundings = { digest: this.#digest, moment: () => this.moment() };
    return watch(id, watched, surroundings, this.#sampledAt);
  }

  #nameOf(watched: Watched): string {
    let id = this.#idOf.get(watched);
    if (id === undefined) {
      id = String(this.#nextId++);
      this.#idOf.set(watched, id);
    }
    return id;
  }
}
