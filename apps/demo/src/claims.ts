/** What README.md claims of the protected service, checked against a run of each kind. */
import { type PhaseFigures, totalTimeout } from './figures.js';
import type { RunRecord } from './record.js';
import { capacity } from './scenario.js';

/** A claim, and whether it held. */
export interface Claim {
  readonly text: string;
  readonly held: boolean;
  /** What was measured. */
  readonly measured: string;
}

/** A run with its figures. */
export interface Measured {
  readonly record: RunRecord;
  readonly figures: readonly PhaseFigures[];
}

/** Figures that the claims name. Of machines they say nothing but that the timers work. */
export const claimed: {
  readonly servedRatio: number;
  readonly servedOfOutageRatio: number;
  readonly timesInBlackHole: number;
  readonly timesInOverload: number;
  readonly freshOfCapacityRatio: number;
  readonly attemptsPerCall: number;
  readonly recovery: number;
  readonly sockets: number;
} = Object.freeze({
  servedRatio: 0.95,
  servedOfOutageRatio: 0.5,
  timesInBlackHole: 10,
  timesInOverload: 2,
  freshOfCapacityRatio: 0.6,
  attemptsPerCall: 1.2,
  recovery: 3_000,
  sockets: 60,
});

/** Over the total timeout a timer may be late on a busy machine. */
const TIMER_TOLERANCE = 1.1;

/** Whether the books are right; holds for a run of any length. */
export function ledgerClaim({ record: { ledger } }: Measured): Claim {
  return {
    text: 'Every acknowledged order is in the database exactly once',
    held: ledger.lost.length === 0 && ledger.doubled.length === 0,
    measured: `${ledger.acknowledged} acknowledged, ${ledger.lost.length} lost, ${ledger.doubled.length} doubled`,
  };
}

/** All claims; they are about the whole scenario, not the short one. */
export function claimsOf(unprotected: Measured, guarded: Measured): Claim[] {
  const bare = byPhase(unprotected.figures);
  const own = byPhase(guarded.figures);
  const priceTrouble = ['latency', 'errors', 'black-hole', 'overload'] as const;
  const worst = Math.min(...priceTrouble.map((id) => own(id).successRatio));
  const slowest = Math.max(...guarded.figures.map(({ p99 }) => p99));
  const attempts = Math.max(...guarded.figures.map(({ attemptsPerCall }) => attemptsPerCall));
  const recoveries = guarded.figures.filter(({ recoveryLimit }) => recoveryLimit !== undefined);
  const slowestRecovery = Math.max(...recoveries.map(({ recovery }) => recovery ?? Infinity));
  const sockets = Math.max(...guarded.figures.map((phase) => phase.sockets));
  const outage = own('database-killed');
  const fresh = own('overload').freshGoodput / capacity;
  return [
    ledgerClaim(guarded),
    {
      text: `With a price service that is slow, failing, gone or overloaded, ${percent(claimed.servedRatio)} of the orders are served`,
      held: worst >= claimed.servedRatio,
      measured: `at least ${percent(worst)}`,
    },
    moreThan(claimed.timesInBlackHole, 'in the black hole', own('black-hole'), bare('black-hole')),
    moreThan(claimed.timesInOverload, 'under overload', own('overload'), bare('overload')),
    {
      text: `Under overload the price service still gives ${percent(claimed.freshOfCapacityRatio)} of the prices that it can`,
      held: fresh >= claimed.freshOfCapacityRatio,
      measured: percent(fresh),
    },
    {
      text: `While the database is down and restarts, ${percent(claimed.servedOfOutageRatio)} of the orders are served all the same`,
      held: outage.successRatio >= claimed.servedOfOutageRatio,
      measured: `${percent(outage.successRatio)} (unprotected ${percent(bare('database-killed').successRatio)})`,
    },
    {
      text: `99 % of the customers have an answer within the total timeouts (${totalTimeout / 1_000} s), in every phase`,
      held: slowest <= totalTimeout * TIMER_TOLERANCE,
      measured: `${(slowest / 1_000).toFixed(1)} s at most`,
    },
    {
      text: `At most ${claimed.attemptsPerCall} requests per order reach the price service, in every phase`,
      held: attempts <= claimed.attemptsPerCall,
      measured: attempts.toFixed(2),
    },
    {
      text: `All is well again within ${claimed.recovery / 1_000} s after each fault`,
      held: slowestRecovery <= claimed.recovery,
      measured: Number.isFinite(slowestRecovery)
        ? `${(slowestRecovery / 1_000).toFixed(1)} s at most`
        : 'not after every fault',
    },
    {
      text: `Never more than ${claimed.sockets} sockets`,
      held: sockets <= claimed.sockets,
      measured: `${sockets} (unprotected ${Math.max(...unprotected.figures.map((phase) => phase.sockets))})`,
    },
  ];
}

function moreThan(times: number, where: string, own: PhaseFigures, bare: PhaseFigures): Claim {
  return {
    text: `${times}× as many orders served ${where} as unprotected`,
    held: own.served >= times * Math.max(1, bare.served),
    measured: `${own.served} against ${bare.served}`,
  };
}

function byPhase(figures: readonly PhaseFigures[]): (id: PhaseFigures['id']) => PhaseFigures {
  return (id) => {
    const found = figures.find((phase) => phase.id === id);
    if (found === undefined) throw new Error(`the run has no phase '${id}'`);
    return found;
  };
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`;
}
