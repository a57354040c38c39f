import { describe, expect, it } from 'vitest';
import { figuresOf, type PhaseFigures, percentile } from './figures.js';
import { ledgerOf } from './ledger.js';
import type { OrderOutcome, RunRecord } from './record.js';
import { type PlannedOrder, patience, plannedOrders, scenario } from './scenario.js';

const whole = scenario({ short: false, seed: 3, kafka: true });
const plan = plannedOrders(whole);

/** A run in which each order ended as it is told. */
function record(end: (order: PlannedOrder) => Partial<OrderOutcome> | undefined): RunRecord {
  return {
    protected: true,
    scenario: whole,
    phases: whole.phases.map((phase) => ({
      phase,
      start: phase.start,
      lifted: phase.lift,
      outage: phase.duration,
      wall: { start: phase.start, lifted: phase.lift },
      end: phase.end,
    })),
    outcomes: plan.map((order): OrderOutcome | undefined => {
      const own = end(order);
      const { index } = order;
      const well = { index, latency: 50, acknowledged: true, fresh: true };
      return own && { ...well, rewritten: false, kept: false, ...own };
    }),
    circuits: [],
    events: {},
    service: [{ at: 1_000, memory: 5, inFlight: 0, kept: 0 }],
    // One price and two reservations for each order, seen every 100 ms.
    outside: Array.from({ length: whole.end / 100 + 1 }, (_, sample) => {
      const arrived = plan.filter(({ arrival }) => arrival < sample * 100).length;
      return { at: sample * 100, sockets: 3, priceHits: arrived, stockHits: 2 * arrived };
    }),
    ledger: ledgerOf([], [], { orders: [], reservations: [], events: undefined }, 0),
    alerts: undefined,
  };
}

function phase(run: RunRecord, id: PhaseFigures['id']): PhaseFigures {
  return figuresOf(run).find((figures) => figures.id === id) as PhaseFigures;
}

describe('figuresOf', () => {
  it('finds nothing wrong where all went well', () => {
    for (const figures of figuresOf(record(() => ({})))) {
      expect(figures).toMatchObject({ successRatio: 1, late: 0, failed: 0, p50: 50, p99: 50 });
      expect(figures.freshGoodput).toBe(figures.goodput);
      expect(figures.attemptsPerCall).toBeCloseTo(1, 1);
      expect(figures.reservationsPerCall).toBeCloseTo(2, 1);
      expect(figures.sockets).toBe(3);
      expect(figures.recovery).toBe(figures.recoveryLimit === undefined ? undefined : 0);
    }
  });

  it('counts the orders whose events were kept', () => {
    const { kept, arrived } = phase(
      record(({ index }) => ({ kept: index % 2 === 0 })),
      'kafka-unreachable',
    );
    expect(Math.abs(kept - arrived / 2)).toBeLessThanOrEqual(1);
  });

  it('tells late, failed and unanswered orders apart', () => {
    const ends = [{}, { latency: patience + 1 }, { acknowledged: false }, undefined];
    const { served, late, failed, unanswered, arrived, p99 } = phase(
      record(({ index }) => ends[index % 4]),
      'black-hole',
    );
    for (const count of [served, late, failed, unanswered])
      expect(Math.abs(count - arrived / 4)).toBeLessThanOrEqual(1);
    expect(p99).toBe(Infinity);
  });

  it('measures the recovery from the end of the fault, in orders that go normally', () => {
    const { lift } = whole.phases.find(({ id }) => id === 'errors') as { lift: number };
    const run = record(({ arrival }) =>
      arrival >= lift && arrival < lift + 1_200 ? { fresh: false } : {},
    );
    const { recovery } = phase(run, 'errors');
    // A few orders before the end of the trouble count as the 5 % that may go wrong.
    expect(recovery).toBeGreaterThan(1_000);
    expect(recovery).toBeLessThan(1_400);
  });

  it('has no recovery where orders go wrong until the next fault', () => {
    const { lift } = whole.phases.find(({ id }) => id === 'overload') as { lift: number };
    const run = record(({ arrival }) => (arrival >= lift ? undefined : {}));
    expect(phase(run, 'overload').recovery).toBeUndefined();
    expect(phase(run, 'overload').recoveryLimit).toBe(whole.end - lift);
  });
});

describe('percentile', () => {
  it('is the value of nearest rank', () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentile(values, 0.5)).toBe(50);
    expect(percentile(values, 0.99)).toBe(99);
    expect(percentile(values, 1)).toBe(100);
    expect(percentile([], 0.5)).toBe(0);
    expect(percentile([1, Infinity], 0.99)).toBe(Infinity);
  });
});
