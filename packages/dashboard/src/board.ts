/**
 * What is shown: the process's own rows and those that others reported, with how each fared, and the
 * latest events. Everything in it is bounded. What changes is collected until it is taken, once for all
 * viewers.
 */
import { History } from './history.js';
import type {
  DashboardSample,
  DashboardSnapshot,
  EventSample,
  PipelineHistory,
  PipelineOfProcess,
  PipelineSample,
  ProcessSample,
  RecentCalls,
} from './protocol.js';
import { protocolVersion, recentSize } from './protocol.js';

/** How much is kept. */
export interface BoardOptions {
  readonly title: string;
  readonly interval: number;
  readonly control: boolean;
  readonly historySize: number;
  readonly maxEvents: number;
}

/** A process's rows and events, with ids that are its own. */
export interface ProcessState {
  readonly pipelines: readonly PipelineSample[];
  readonly events: readonly EventSample[];
}

interface Row {
  readonly sample: PipelineOfProcess;
  /** To see whether it changed. */
  readonly text: string;
  readonly history: History;
}

interface ShownProcess {
  info: ProcessSample;
  rows: Map<string, Row>;
}

/** What is shown of all processes. */
export class Board {
  readonly #options: BoardOptions;
  readonly #processes = new Map<string, ShownProcess>();
  #events: EventSample[] = [];
  #nextEvent = 1;
  #processesChanged = false;
  #changed = new Set<string>();
  #removed = new Set<string>();
  #newEvents: EventSample[] = [];

  constructor(options: BoardOptions) {
    this.#options = options;
  }

  /** Takes in how a process is at the moment. `at` is on the scale of 1970. */
  update(info: ProcessSample, state: ProcessState, at: number): void {
    const known = this.#processes.get(info.id);
    const process: ShownProcess = known ?? { info, rows: new Map() };
    if (known === undefined || hasChanged(known.info, info)) this.#processesChanged = true;
    process.info = info;
    this.#processes.set(info.id, process);
    const rows = new Map<string, Row>();
    for (const own of state.pipelines) {
      const sample = shownRow(info.id, own);
      const text = JSON.stringify(sample);
      const before = process.rows.get(sample.id);
      const history = before?.history ?? new History(this.#options.historySize);
      history.add(at, sample);
      if (before?.text !== text) this.#changed.add(sample.id);
      this.#removed.delete(sample.id);
      rows.set(sample.id, { sample, text, history });
    }
    for (const id of process.rows.keys()) if (!rows.has(id)) this.#forget(id);
    process.rows = rows;
    for (const event of state.events) this.#addEvent(info.id, event);
  }

  /** Says that a process is gone; its rows stay as they were last. */
  markGone(id: string): void {
    const process = this.#processes.get(id);
    if (process === undefined || process.info.state === 'gone') return;
    process.info = { ...process.info, state: 'gone' };
    this.#processesChanged = true;
  }

  /** Drops a process and its rows. */
  drop(id: string): void {
    const process = this.#processes.get(id);
    if (process === undefined) return;
    for (const row of process.rows.keys()) this.#forget(row);
    this.#processes.delete(id);
    this.#processesChanged = true;
  }

  history(id: string): PipelineHistory | undefined {
    return this.#processes.get(processOf(id))?.rows.get(id)?.history.toJSON();
  }

  /** How many calls there were lately, for all that had any. */
  recent(at: number): RecentCalls {
    const { interval } = this.#options;
    const found: Record<string, RecentCalls[string]> = {};
    const none = new Array<number>(recentSize).fill(0);
    for (const { rows } of this.#processes.values()) {
      for (const [id, { history }] of rows) {
        const succeeded = history.recent(['succeeded'], at, interval, recentSize);
        const others = history.recent(['failed', 'rejected'], at, interval, recentSize);
        if (succeeded === undefined && others === undefined) continue;
        found[id] = { succeeded: succeeded ?? none, others: others ?? none };
      }
    }
    return found;
  }

  snapshot(at: number): DashboardSnapshot {
    const { title, interval, control } = this.#options;
    return {
      protocol: protocolVersion,
      at,
      title,
      interval,
      control,
      processes: this.#infos(),
      pipelines: [...this.#processes.values()].flatMap(({ rows }) =>
        [...rows.values()].map(({ sample }) => sample),
      ),
      events: this.#events,
    };
  }

  /** What changed since this was last asked. */
  takeChanges(at: number): DashboardSample {
    const pipelines = [...this.#changed].flatMap((id) => {
      const row = this.#processes.get(processOf(id))?.rows.get(id);
      return row === undefined ? [] : [row.sample];
    });
    const sample = {
      at,
      ...(this.#processesChanged ? { processes: this.#infos() } : {}),
      pipelines,
      removed: [...this.#removed],
      events: this.#newEvents,
    };
    this.#processesChanged = false;
    this.#changed = new Set();
    this.#removed = new Set();
    this.#newEvents = [];
    return sample;
  }

  #infos(): readonly ProcessSample[] {
    return [...this.#processes.values()].map(({ info }) => info);
  }

  #forget(id: string): void {
    this.#changed.delete(id);
    this.#removed.add(id);
  }

  #addEvent(process: string, event: EventSample): void {
    const pipeline = rowId(process, event.pipeline);
    const shown = { ...event, id: this.#nextEvent++, pipeline };
    const { maxEvents } = this.#options;
    this.#events = [...this.#events, shown].slice(-maxEvents);
    this.#newEvents = [...this.#newEvents, shown].slice(-maxEvents);
  }
}

/** The id of a row among those of all processes. */
export function rowId(process: string, own: string): string {
  return `${process}:${own}`;
}

/** The process of a row's id. */
export function processOf(id: string): string {
  return id.slice(0, id.indexOf(':'));
}

/** The row's id within its process. */
export function ownIdOf(id: string): string {
  return id.slice(id.indexOf(':') + 1);
}

function shownRow(process: string, own: PipelineSample): PipelineOfProcess {
  return {
    ...own,
    process,
    id: rowId(process, own.id),
    keys:
      own.keys === null
        ? null
        : {
            ...own.keys,
            shown: own.keys.shown.map((key) => ({ ...key, id: rowId(process, key.id) })),
          },
  };
}

function hasChanged(before: ProcessSample, now: ProcessSample): boolean {
  return (
    before.state !== now.state ||
    before.name !== now.name ||
    before.control !== now.control ||
    before.hidden !== now.hidden
  );
}
