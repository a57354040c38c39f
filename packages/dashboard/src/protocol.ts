/**
 * What the dashboard tells its viewers, and what processes tell a dashboard: all of it plain JSON. The
 * page is one viewer; anything else that reads server-sent events can be another.
 *
 * `GET events` is a stream of server-sent events: `snapshot` once, at the beginning, then a `sample` for
 * each sampling interval, and `end` when the dashboard closes it by itself; `data` is a
 * {@link DashboardSnapshot}, a {@link DashboardSample} or a {@link DashboardEnd}. Comment lines keep the
 * connection alive. A viewer keeps the pipelines by `id`, replaces those that a sample brings, and drops
 * those that it names as removed; one that a sample doesn't mention is as it was. After a lost
 * connection it connects again and begins with the new snapshot. Fields and event names may be added
 * without a new version: a reader passes over what it doesn't know.
 *
 * Times are milliseconds since 1970, durations milliseconds, rates calls per second.
 */
import type { CircuitState } from '@resil/core';

/** Version of the protocol. A reader refuses a snapshot or report of another one. */
export const protocolVersion = 1;

/** A process that is shown. */
export interface ProcessSample {
  readonly id: string;
  readonly name: string;
  readonly pid: number;
  /** `'gone'`: it has not reported for some time, or said that it ends. */
  readonly state: 'live' | 'gone';
  /** When it was last heard of. */
  readonly seenAt: number;
  /** Whether its circuits can be isolated and reset from here. */
  readonly control: boolean;
  /** Pipelines that it has beyond those that are shown. */
  readonly hidden: number;
}

/** Calls per second, over the latest sampling interval. */
export interface CallRates {
  readonly succeeded: number;
  readonly failed: number;
  readonly rejected: number;
  readonly aborted: number;
  /** Extra attempts that retries made. */
  readonly retried: number;
}

/** Quantiles of the durations of the latest calls that succeeded or failed. */
export interface LatencySample {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** A circuit breaker. */
export interface BreakerSample {
  /** Which of the pipeline's it is, for {@link ControlRequest}. */
  readonly index: number;
  readonly name: string;
  readonly state: CircuitState;
  /** When it went into this state; to the sampling interval. */
  readonly since: number;
  /** Openings in a row since it was last closed. */
  readonly openings: number;
  /** When it lets a probe through; `null` if it is not open, or never does. */
  readonly nextProbeAt: number | null;
}

/** A guard that limits calls: bulkhead, adaptive limiter, rate limiter, throttle. `null` where it has no such thing. */
export interface LimitSample {
  /** Name of the factory. */
  readonly type: string;
  readonly name: string;
  /** Calls in flight within it. */
  readonly running: number | null;
  /** Calls that may be in flight; of a rate limiter, those that may start now. */
  readonly limit: number | null;
  readonly waiting: number | null;
  readonly maxWaiting: number | null;
  /** Share of calls that a throttle refuses. */
  readonly rejectionRatio: number | null;
}

/** A budget of a retry or hedge. */
export interface BudgetSample {
  readonly type: string;
  readonly name: string;
  /** Retries or hedges, or tokens, that are left. */
  readonly left: number;
  /** What it refused since it was made. */
  readonly refused: number;
}

/** One pipeline, one set of keyed pipelines, or one of its keys. */
export interface PipelineSample {
  /** Stays the same while the process runs. */
  readonly id: string;
  readonly kind: 'pipeline' | 'keyed' | 'key';
  readonly name: string | null;
  /** The key that it serves. */
  readonly key: string | null;
  /** What it stands before, where that was told. */
  readonly target: string | null;
  /** The worst of its circuits' states; `null` without a circuit breaker. */
  readonly state: CircuitState | null;
  readonly inFlight: number;
  /** Calls waiting in its queues. */
  readonly waiting: number;
  readonly rates: CallRates;
  /** `null` where no call ended lately, or nobody looked. */
  readonly latency: LatencySample | null;
  readonly breakers: readonly BreakerSample[];
  readonly limits: readonly LimitSample[];
  readonly budgets: readonly BudgetSample[];
  /** Of keyed pipelines: how many keys there are, and of those used last the ones in trouble and the most active. */
  readonly keys: { readonly known: number; readonly shown: readonly PipelineSample[] } | null;
}

/** A pipeline in the snapshot: as of now, and how it came there. */
export interface PipelineOfProcess extends PipelineSample {
  /** `id` of its process. */
  readonly process: string;
}

/** Something that happened; events of a kind that happened between two samples are told as one. */
export interface EventSample {
  /** Grows with each event. */
  readonly id: number;
  readonly at: number;
  /** `id` of the pipeline. */
  readonly pipeline: string;
  /** The name of a `ResilienceEvent`: `'circuit.opened'`. */
  readonly type: string;
  readonly key: string | null;
  readonly strategy: string | null;
  /** How often it happened; the rest is that of the latest. */
  readonly count: number;
  /** Fields of the event that are short texts and numbers, `errorType` among them. */
  readonly details: { readonly [name: string]: string | number | boolean };
}

/** `data` of the event `snapshot`: everything, for a viewer that knows nothing. Also the answer to `GET snapshot`. */
export interface DashboardSnapshot {
  readonly protocol: typeof protocolVersion;
  readonly at: number;
  readonly title: string;
  /** Milliseconds between samples. */
  readonly interval: number;
  /** Whether circuits can be isolated and reset from here, with the token. */
  readonly control: boolean;
  readonly processes: readonly ProcessSample[];
  readonly pipelines: readonly PipelineOfProcess[];
  /** Oldest first. */
  readonly events: readonly EventSample[];
}

/** `data` of the event `sample`: what changed since the one before. */
export interface DashboardSample {
  readonly at: number;
  /** All of them, if one changed. */
  readonly processes?: readonly ProcessSample[];
  readonly pipelines: readonly PipelineOfProcess[];
  /** `id`s of pipelines that are gone. */
  readonly removed: readonly string[];
  readonly events: readonly EventSample[];
}

/** `data` of the event `end`. */
export interface DashboardEnd {
  /** The server or the dashboard closes. */
  readonly reason: 'closed';
}

/** Names of the series of a {@link PipelineHistory}. */
export const historySeries = [
  'succeeded',
  'failed',
  'rejected',
  'retried',
  'p50',
  'p95',
  'p99',
  'inFlight',
  'waiting',
  'limit',
  'state',
] as const;

/** A series of a {@link PipelineHistory}. */
export type HistorySeries = (typeof historySeries)[number];

/** Answer to `GET history?pipeline=<id>`: how a pipeline fared, oldest first. `null` where nothing was known. */
export interface PipelineHistory {
  readonly at: readonly number[];
  /** `state` is 0 (closed), 1 (half-open), 2 (open) or 3 (isolated). */
  readonly series: { readonly [name in HistorySeries]: readonly (number | null)[] };
}

/** How many entries each list of {@link RecentCalls} has. */
export const recentSize = 60;

/**
 * Answer to `GET recent`: calls per second of the last {@link recentSize} intervals of each pipeline that
 * had any, by its `id`, oldest first: those that succeeded, and those that failed or were rejected.
 */
export interface RecentCalls {
  readonly [pipeline: string]: {
    readonly succeeded: readonly number[];
    readonly others: readonly number[];
  };
}

/** Body of `POST control`, whose header `authorization` is `Bearer <token>`. */
export interface ControlRequest {
  readonly pipeline: string;
  /** `index` of the {@link BreakerSample}, and its name, to be sure. */
  readonly breaker: number;
  readonly name: string;
  readonly action: 'isolate' | 'reset';
}

/** Answer to `POST control`. */
export interface ControlAnswer {
  /** `'sent'`: another process is told with the answer to its next report. */
  readonly result: 'done' | 'sent';
  readonly detail: string;
}

/** Body of `POST report`, whose header `authorization` is `Bearer <token>`: a process as of now. */
export interface ProcessReport {
  readonly protocol: typeof protocolVersion;
  /** Chosen at random when the process begins to report. */
  readonly instance: string;
  readonly name: string;
  readonly pid: number;
  /** Milliseconds until the next report. */
  readonly interval: number;
  readonly control: boolean;
  /** Set in the last one. */
  readonly ending: boolean;
  readonly hidden: number;
  readonly pipelines: readonly PipelineSample[];
  /** New since the report before. `id`s are the process's own. */
  readonly events: readonly EventSample[];
}

/** Answer to `POST report`. */
export interface ReportAnswer {
  /** Whether somebody looks, so that latencies and events are worth hearing. */
  readonly watched: boolean;
  /** What a person asked for; only if the process takes orders. */
  readonly commands: readonly ControlRequest[];
}
