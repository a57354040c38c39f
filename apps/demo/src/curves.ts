/** The curves of a run, ready to be drawn: one point per second of the run. */
import { isServed, percentile } from './figures.js';
import type { CircuitChange, OrderOutcome, RunRecord } from './record.js';
import { plannedOrders } from './scenario.js';

/** A point of a curve: seconds of the run, and a value; `null` leaves a gap. */
export type Point = readonly [seconds: number, value: number | null];

/** A time in which a circuit was in one state, in seconds of the run. */
export interface CircuitSpan {
  readonly circuit: string;
  readonly state: CircuitChange['state'];
  readonly from: number;
  readonly to: number;
}

/** All curves of a run. */
export interface Curves {
  /** Orders that arrive, per second. */
  readonly offered: readonly Point[];
  /** Orders served per second, by when they were answered. */
  readonly goodput: readonly Point[];
  /** The same, at a fresh price. */
  readonly fresh: readonly Point[];
  /** Milliseconds to an answer, by when the order arrived; {@link NEVER} if most of them had none. */
  readonly p50: readonly Point[];
  readonly p99: readonly Point[];
  readonly waiting: readonly Point[];
  /** Events in the outbox. */
  readonly kept: readonly Point[];
  readonly sockets: readonly Point[];
  /** In MB. */
  readonly memory: readonly Point[];
  readonly circuits: readonly CircuitSpan[];
}

/** Where an answer that never came is drawn on the latency axis, in ms. */
export const NEVER = 100_000;

/** Names of the circuits, in the order of a call. */
const CIRCUITS = ['prices', 'inventory', 'orders', 'events'];

/** Draws up the curves of a run. `step` is the time that a point stands for, in ms. */
export function curvesOf(record: RunRecord, step: number): Curves {
  const { outcomes, service, outside, scenario } = record;
  const plan = plannedOrders(scenario);
  const end = scenario.end;
  // A last one that is not whole would look like a loss.
  const buckets = Math.floor(end / step);
  const perSecond = (times: readonly number[]): Point[] => {
    const counts = new Array<number>(buckets).fill(0);
    for (const time of times) {
      const bucket = Math.floor(time / step);
      if (bucket < buckets) counts[bucket] = (counts[bucket] ?? 0) + 1;
    }
    return counts.map((count, bucket) => [middle(bucket, step), round((count / step) * 1_000)]);
  };
  const served = outcomes.filter(isServed);
  const answeredAt = ({ index, latency }: OrderOutcome): number =>
    (plan[index]?.arrival ?? 0) + latency;
  const latencies = Array.from({ length: buckets }, (): number[] => []);
  for (const { index, arrival } of plan)
    latencies[Math.floor(arrival / step)]?.push(outcomes[index]?.latency ?? NEVER);
  const quantile = (ratio: number): Point[] =>
    latencies.map((values, bucket) => [
      middle(bucket, step),
      values.length === 0 ? null : round(percentile(values, ratio)),
    ]);
  return {
    offered: perSecond(plan.map(({ arrival }) => arrival)),
    goodput: perSecond(served.map(answeredAt)),
    fresh: perSecond(served.filter(({ fresh }) => fresh).map(answeredAt)),
    p50: quantile(0.5),
    p99: quantile(0.99),
    waiting: sampled(service, end, ({ inFlight }) => inFlight),
    kept: sampled(service, end, ({ kept }) => kept),
    sockets: sampled(outside, end, ({ sockets }) => sockets),
    memory: sampled(service, end, ({ memory }) => memory / 2 ** 20),
    circuits: record.protected ? spansOf(record, end) : [],
  };
}

function sampled<Sample extends { readonly at: number }>(
  samples: readonly Sample[],
  end: number,
  value: (sample: Sample) => number,
): Point[] {
  return samples
    .filter(({ at }) => at >= 0 && at <= end)
    .map((sample) => [round(sample.at / 1_000), round(value(sample))]);
}

function spansOf({ circuits: changes, scenario }: RunRecord, end: number): CircuitSpan[] {
  const circuits = CIRCUITS.filter((circuit) => circuit !== 'events' || scenario.kafka);
  return circuits.flatMap((circuit) => {
    const spans: CircuitSpan[] = [];
    let from = 0;
    let state: CircuitChange['state'] = 'closed';
    const until = (to: number): void => {
      if (to > from)
        spans.push({ circuit, state, from: round(from / 1_000), to: round(to / 1_000) });
    };
    for (const change of changes) {
      if (change.circuit !== circuit || change.at > end) continue;
      until(change.at);
      from = Math.max(0, change.at);
      state = change.state;
    }
    until(end);
    return spans;
  });
}

function middle(bucket: number, step: number): number {
  return round(((bucket + 0.5) * step) / 1_000);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
