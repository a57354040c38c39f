/**
 * Figures of a run, from its record: each phase as its customers saw it. An order belongs to the phase
 * in which it arrived, and counts while the fault lasts; the calm after the fault is for recovery.
 */
import type { ObservedPhase, OrderOutcome, RunRecord } from './record.js';
import { type PlannedOrder, patience, plannedOrders, prompt } from './scenario.js';

/** What a phase was like. */
export interface PhaseFigures {
  readonly id: ObservedPhase['phase']['id'];
  readonly title: string;
  readonly arrived: number;
  /** Acknowledged while the customer was still there. */
  readonly served: number;
  /** Share of the orders that were served, in 0..1. */
  readonly successRatio: number;
  /** Served orders per second. */
  readonly goodput: number;
  /** The same, at a price of the moment. */
  readonly freshGoodput: number;
  /** Acknowledged after the customer had gone. */
  readonly late: number;
  /** Answered with an error. */
  readonly failed: number;
  /** Never answered. */
  readonly unanswered: number;
  /** Milliseconds to an answer, good or bad; `Infinity` if it never came. */
  readonly p50: number;
  readonly p99: number;
  /** Requests that reached the price service, per order. */
  readonly attemptsPerCall: number;
  /** Requests that reached the inventory service, per order. */
  readonly reservationsPerCall: number;
  /** Orders whose events went into the outbox. */
  readonly kept: number;
  /** Most connections that were open. */
  readonly sockets: number;
  /** Most resident memory, in bytes. */
  readonly memory: number;
  /** Milliseconds from the end of the fault until all was well; `undefined`: not in this phase. */
  readonly recovery: number | undefined;
  /** Milliseconds that there were to recover in; `undefined` where nothing was wrong. */
  readonly recoveryLimit: number | undefined;
  /** Share of the orders of the second half of the calm after the fault that were served, in 0..1; `undefined` where nothing was wrong. */
  readonly servedAfter: number | undefined;
  /** Milliseconds that the fault lasted, in real time. */
  readonly outage: number;
}

/** The figures of each phase. */
export function figuresOf(record: RunRecord): PhaseFigures[] {
  const plan = plannedOrders(record.scenario);
  return record.phases.map((observed, index) => {
    // After the overload comes a phase of its own in which to recover.
    const calm = observed.phase.calm > 0 ? observed : record.phases[index + 1];
    return phaseFigures(record, plan, observed, calm?.end ?? observed.end);
  });
}

/** Milliseconds below which the share `ratio` of the values lies: the value of nearest rank. */
export function percentile(values: readonly number[], ratio: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * ratio) - 1)] ?? 0;
}

/** Whether the order was acknowledged while its customer was still there. */
export function isServed(outcome: OrderOutcome | undefined): outcome is OrderOutcome {
  return outcome?.acknowledged === true && outcome.latency <= patience;
}

/** Whether nothing at all was to be seen of any fault. */
function isNormal(outcome: OrderOutcome | undefined): boolean {
  return outcome?.acknowledged === true && outcome.fresh && outcome.latency <= prompt;
}

function phaseFigures(
  record: RunRecord,
  plan: readonly PlannedOrder[],
  { phase, start, lifted, outage }: ObservedPhase,
  calmUntil: number,
): PhaseFigures {
  const orders = plan.filter(({ arrival }) => arrival >= start && arrival < lifted);
  const outcomes = orders.map(({ index }) => record.outcomes[index]);
  const served = outcomes.filter(isServed);
  const latencies = outcomes.map((outcome) => outcome?.latency ?? Infinity);
  const seconds = (lifted - start) / 1_000;
  const acknowledged = outcomes.filter((outcome) => outcome?.acknowledged === true).length;
  const answered = outcomes.filter((outcome) => outcome !== undefined).length;
  const during = ({ at }: { readonly at: number }): boolean => at >= start && at <= lifted;
  return {
    id: phase.id,
    title: phase.title,
    arrived: orders.length,
    served: served.length,
    successRatio: served.length / Math.max(1, orders.length),
    goodput: served.length / seconds,
    freshGoodput: served.filter(({ fresh }) => fresh).length / seconds,
    late: acknowledged - served.length,
    failed: answered - acknowledged,
    unanswered: orders.length - answered,
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    attemptsPerCall: hitsBetween(record, 'priceHits', start, lifted) / Math.max(1, orders.length),
    reservationsPerCall:
      hitsBetween(record, 'stockHits', start, lifted) / Math.max(1, orders.length),
    kept: outcomes.filter((outcome) => outcome?.kept === true).length,
    sockets: Math.max(0, ...record.outside.filter(during).map(({ sockets }) => sockets)),
    memory: Math.max(0, ...record.service.filter(during).map(({ memory }) => memory)),
    recovery: phase.fault === undefined ? undefined : recoveryOf(record, plan, lifted, calmUntil),
    recoveryLimit: phase.fault === undefined ? undefined : calmUntil - lifted,
    servedAfter:
      phase.fault === undefined
        ? undefined
        : servedBetween(record, plan, (lifted + calmUntil) / 2, calmUntil),
    outage,
  };
}

function servedBetween(
  { outcomes }: RunRecord,
  plan: readonly PlannedOrder[],
  from: number,
  to: number,
): number {
  const orders = plan.filter(({ arrival }) => arrival >= from && arrival < to);
  return (
    orders.filter(({ index }) => isServed(outcomes[index])).length / Math.max(1, orders.length)
  );
}

/** Share of the orders of a window that must go normally for the service to count as recovered. */
const RECOVERED_RATIO = 0.95;

/** Milliseconds from `lifted` to the first moment from which on orders go normally for a whole window. */
function recoveryOf(
  { outcomes, scenario }: RunRecord,
  plan: readonly PlannedOrder[],
  lifted: number,
  until: number,
): number | undefined {
  const after = plan.filter(({ arrival }) => arrival >= lifted && arrival < until);
  for (const from of [lifted, ...after.map(({ arrival }) => arrival)]) {
    if (from + scenario.recoveryWindow > until) return undefined;
    const window = after.filter(
      ({ arrival }) => arrival >= from && arrival < from + scenario.recoveryWindow,
    );
    const normal = window.filter(({ index }) => isNormal(outcomes[index])).length;
    if (window.length > 0 && normal >= window.length * RECOVERED_RATIO) return from - lifted;
  }
  return undefined;
}

/** Requests that reached a service between two moments, interpolated between samples. */
function hitsBetween(
  { outside }: RunRecord,
  which: 'priceHits' | 'stockHits',
  start: number,
  end: number,
): number {
  const hitsAt = (at: number): number => {
    const next = outside.findIndex((sample) => sample.at >= at);
    const later = outside[next] ?? outside.at(-1);
    const earlier = outside[Math.max(0, next - 1)];
    if (later === undefined || earlier === undefined) return 0;
    const share = later.at > earlier.at ? (at - earlier.at) / (later.at - earlier.at) : 0;
    return earlier[which] + Math.min(1, Math.max(0, share)) * (later[which] - earlier[which]);
  };
  return hitsAt(end) - hitsAt(start);
}
