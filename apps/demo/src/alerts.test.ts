import { describe, expect, it } from 'vitest';
import { alertLines, alertSpans } from './alerts.js';
import { alertClaims } from './claims.js';
import { ledgerOf } from './ledger.js';
import type { AlertSpan, RunRecord } from './record.js';
import { scenario } from './scenario.js';

const SINCE = 1_700_000_000_000;
const whole = scenario({ short: false, seed: 1, kafka: true });

/** A run whose time went as planned, from {@link SINCE} on. */
function runOf(alerts: readonly AlertSpan[] | undefined): RunRecord {
  return {
    protected: true,
    scenario: whole,
    phases: whole.phases.map((phase) => ({
      phase,
      start: phase.start,
      lifted: phase.lift,
      outage: phase.duration,
      wall: { start: SINCE + phase.start, lifted: SINCE + phase.lift },
      end: phase.end,
    })),
    outcomes: [],
    circuits: [],
    events: {},
    service: [],
    outside: [],
    ledger: ledgerOf([], [], { orders: [], reservations: [], events: undefined }, 0),
    alerts,
  };
}

/** An alert that fires so long after the start of a phase's fault, and is resolved so long after its end. */
function span(
  id: string,
  dependency: string,
  firedAfter: number,
  resolvedAfter: number | undefined,
): AlertSpan {
  const phase = whole.phases.find((one) => one.id === id);
  return {
    alert: 'ResilCircuitOpen',
    dependency,
    severity: 'ticket',
    firedAt: SINCE + (phase?.start ?? 0) + firedAfter,
    resolvedAt: resolvedAfter && SINCE + (phase?.lift ?? 0) + resolvedAfter,
  };
}

const labels = { alertname: 'ResilSlow', dependency: 'prices', severity: 'ticket' };
const points = (...moments: number[]): [number, number][] => moments.map((at) => [at, 1]);

describe('alertSpans', () => {
  it('ends an alert at the first moment at which it was gone, and keeps two apart', () => {
    expect(
      alertSpans([{ labels, points: points(1_000, 1_250, 1_500, 3_000) }], 250, 5_000),
    ).toEqual([
      {
        alert: 'ResilSlow',
        dependency: 'prices',
        severity: 'ticket',
        firedAt: 1_000,
        resolvedAt: 1_750,
      },
      {
        alert: 'ResilSlow',
        dependency: 'prices',
        severity: 'ticket',
        firedAt: 3_000,
        resolvedAt: 3_250,
      },
    ]);
  });

  it('knows of no end where it still fires', () => {
    const series = [{ labels, points: points(1_000, 1_250, 1_500) }];
    expect(alertSpans(series, 250, 1_749)).toMatchObject([{ resolvedAt: undefined }]);
    expect(alertSpans(series, 250, 1_750)).toMatchObject([{ resolvedAt: 1_750 }]);
  });

  it('puts alerts of all dependencies in the order in which they fired', () => {
    const of = (dependency: string, at: number) => ({
      labels: { ...labels, dependency },
      points: points(at),
    });
    const spans = alertSpans([of('orders', 2_000), of('prices', 1_000)], 250, 5_000);
    expect(spans.map(({ dependency }) => dependency)).toEqual(['prices', 'orders']);
  });
});

describe('alertLines', () => {
  it('tells of the outage in which an alert fired, and from its end on when it was resolved', () => {
    expect(
      alertLines(
        runOf([
          span('black-hole', 'prices', 3_000, 4_000),
          span('errors', 'prices', 2_000, -1_500),
          span('inventory-killed', 'inventory', 2_500, 3_000),
          span('overload', 'prices', 2_000, undefined),
        ]),
      ),
    ).toEqual([
      "ResilCircuitOpen of prices (ticket): fired 3.0 s into 'black hole', resolved 4.0 s after its end",
      "ResilCircuitOpen of prices (ticket): fired 2.0 s into 'half 503', resolved 1.5 s before its end",
      "ResilCircuitOpen of inventory (ticket): fired 500 ms after 'inventory killed', resolved 3.0 s after its end",
      "ResilCircuitOpen of prices (ticket): fired 2.0 s into '3× overload', still fires at the end",
    ]);
    expect(alertLines(runOf(undefined))).toEqual([]);
  });
});

describe('alertClaims', () => {
  const held = (alerts: readonly AlertSpan[]): boolean | undefined =>
    alertClaims(runOf(alerts))[0]?.held;

  it('holds if the alert fired in the outage and was resolved after it', () => {
    expect(alertClaims(runOf([span('black-hole', 'prices', 3_000, 4_000)]))).toMatchObject([
      { held: true, measured: 'that of prices after 3.0 s, resolved 4.0 s after its end' },
    ]);
  });

  it.each<[string, AlertSpan[]]>([
    ['did not fire', []],
    ['fired too late', [span('black-hole', 'prices', 7_500, 4_000)]],
    ['ended before the outage', [span('black-hole', 'prices', 1_000, -1)]],
    ['still fires', [span('black-hole', 'prices', 1_000, undefined)]],
    ['is of another dependency', [span('black-hole', 'orders', 3_000, 4_000)]],
    ['is another', [{ ...span('black-hole', 'prices', 3_000, 4_000), alert: 'ResilSlow' }]],
  ])('does not hold if it %s', (_, alerts) => expect(held(alerts)).toBe(false));

  it('claims nothing without a Prometheus', () =>
    expect(alertClaims(runOf(undefined))).toEqual([]));
});
