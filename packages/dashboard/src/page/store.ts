/** What the page knows: the last snapshot and the samples since, and what the person at it chose. */
import type {
  DashboardSample,
  DashboardSnapshot,
  EventSample,
  PipelineOfProcess,
  ProcessSample,
  RecentCalls,
} from '../protocol.js';
import { Spark } from './spark.js';

/** How it stands with the stream. */
export type ConnectionState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'lost'; readonly reason: string };

/** Events that are kept; the server has no more to begin with. */
const MAX_EVENTS = 500;

/** What is shown, and who is told when it changes. */
export class Store {
  connection: ConnectionState = { kind: 'connecting' };
  title = '';
  interval = 1_000;
  control = false;
  /** When the last sample was taken, on the server's clock. */
  at = 0;
  processes: readonly ProcessSample[] = [];
  readonly rows = new Map<string, PipelineOfProcess>();
  readonly sparks = new Map<string, Spark>();
  /** Oldest first. */
  events: readonly EventSample[] = [];
  /** Grows with each snapshot: what was fetched before it is of another time. */
  epoch = 0;
  /** Whether a snapshot has come. */
  known = false;
  readonly #listeners = new Set<() => void>();

  /** Calls `listener` after each change; the result ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  begin(snapshot: DashboardSnapshot): void {
    this.connection = { kind: 'live' };
    this.known = true;
    this.epoch++;
    this.title = snapshot.title;
    this.interval = snapshot.interval;
    this.control = snapshot.control;
    this.processes = snapshot.processes;
    this.rows.clear();
    this.sparks.clear();
    this.events = snapshot.events;
    this.#take(snapshot.at, snapshot.pipelines);
  }

  apply(sample: DashboardSample): void {
    if (!this.known) return;
    if (sample.processes !== undefined) this.processes = sample.processes;
    for (const id of sample.removed) {
      this.rows.delete(id);
      this.sparks.delete(id);
    }
    // The snapshot may have had some of them already.
    const last = this.events.at(-1)?.id ?? 0;
    const news = sample.events.filter(({ id }) => id > last);
    if (news.length > 0) this.events = [...this.events, ...news].slice(-MAX_EVENTS);
    this.#take(sample.at, sample.pipelines);
  }

  /** What was before the snapshot, for the small pictures. */
  fill(recent: RecentCalls): void {
    for (const [id, { succeeded, others }] of Object.entries(recent))
      this.sparks.get(id)?.fill(succeeded, others);
    this.#tell();
  }

  connected(connection: ConnectionState): void {
    this.connection = connection;
    this.#tell();
  }

  /** The process of a row. */
  processOf({ process }: PipelineOfProcess): ProcessSample | undefined {
    return this.processes.find(({ id }) => id === process);
  }

  #take(at: number, changed: readonly PipelineOfProcess[]): void {
    this.at = at;
    for (const row of changed) this.rows.set(row.id, row);
    for (const [id, { rates }] of this.rows) {
      let spark = this.sparks.get(id);
      if (spark === undefined) {
        spark = new Spark();
        this.sparks.set(id, spark);
      }
      spark.add(rates.succeeded, rates.failed + rates.rejected);
    }
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
