/**
 * What the dashboard of `@resil/dashboard` tells its viewers, as far as a terminal shows it: a snapshot,
 * then what changed. Fields that are not known are passed over.
 */
import { BadInputError } from '../bad-input.js';

/** Version of the protocol that is understood. */
export const PROTOCOL = 1;

/** Calls per second. */
export interface Rates {
  readonly succeeded: number;
  readonly failed: number;
  readonly rejected: number;
  readonly retried: number;
}

/** A pipeline at one moment. */
export interface PipelineView {
  readonly id: string;
  readonly process?: string;
  readonly name: string | null;
  readonly key: string | null;
  readonly state: string | null;
  readonly inFlight: number;
  readonly waiting: number;
  readonly rates: Rates;
  readonly latency: { readonly p50: number; readonly p99: number } | null;
  readonly limits: readonly { readonly running: number | null; readonly limit: number | null }[];
  readonly budgets: readonly { readonly left: number }[];
  readonly keys: { readonly known: number; readonly shown: readonly PipelineView[] } | null;
}

/** A process. */
export interface ProcessView {
  readonly id: string;
  readonly name: string;
  readonly pid: number;
  readonly state: string;
}

/** Something that happened. */
export interface EventView {
  readonly at: number;
  readonly pipeline: string;
  readonly type: string;
  readonly key: string | null;
  readonly strategy: string | null;
  readonly count: number;
}

/** All of it, to begin with. */
export interface SnapshotView {
  readonly protocol: number;
  readonly at: number;
  readonly title: string;
  readonly interval: number;
  readonly processes: readonly ProcessView[];
  readonly pipelines: readonly PipelineView[];
  readonly events: readonly EventView[];
}

/** What changed. */
export interface SampleView {
  readonly at: number;
  readonly processes?: readonly ProcessView[];
  readonly pipelines: readonly PipelineView[];
  readonly removed: readonly string[];
  readonly events: readonly EventView[];
}

/** Events that are kept to be shown. */
const MAX_EVENTS = 100;

/** The state of a dashboard, as its messages tell it. */
export class Board {
  #snapshot: SnapshotView;
  readonly #pipelines = new Map<string, PipelineView>();
  #processes: readonly ProcessView[];
  #events: readonly EventView[];
  #at: number;

  /** @throws `BadInputError` for what is no snapshot, or one of another version. */
  constructor(snapshot: SnapshotView) {
    checkSnapshot(snapshot);
    this.#snapshot = snapshot;
    this.#processes = snapshot.processes;
    this.#events = snapshot.events.slice(-MAX_EVENTS);
    this.#at = snapshot.at;
    for (const pipeline of snapshot.pipelines) this.#pipelines.set(pipeline.id, pipeline);
  }

  get title(): string {
    return this.#snapshot.title;
  }

  /** When it was so, in milliseconds since 1970. */
  get at(): number {
    return this.#at;
  }

  get processes(): readonly ProcessView[] {
    return this.#processes;
  }

  get pipelines(): readonly PipelineView[] {
    return [...this.#pipelines.values()];
  }

  /** Oldest first. */
  get events(): readonly EventView[] {
    return this.#events;
  }

  /** The pipeline of an event. */
  pipeline(id: string): PipelineView | undefined {
    return this.#pipelines.get(id);
  }

  /** Takes what changed. */
  apply(sample: SampleView): void {
    this.#at = sample.at;
    this.#processes = sample.processes ?? this.#processes;
    for (const id of sample.removed) this.#pipelines.delete(id);
    for (const pipeline of sample.pipelines) this.#pipelines.set(pipeline.id, pipeline);
    this.#events = [...this.#events, ...sample.events].slice(-MAX_EVENTS);
  }
}

function checkSnapshot(snapshot: SnapshotView): void {
  const { protocol, pipelines, processes, events } = snapshot;
  if (![pipelines, processes, events].every(Array.isArray)) {
    throw new BadInputError('what answers there is no dashboard of @resil/dashboard');
  }
  if (protocol !== PROTOCOL) {
    throw new BadInputError(
      `the dashboard speaks version ${protocol} of its protocol, this program version ${PROTOCOL}: bring both to the same version`,
    );
  }
}
