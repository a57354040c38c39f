/** What README.md claims of the protected service, checked against a run of each kind. */
import { limits } from './clients.js';
import type { PhaseFigures } from './figures.js';
import { isWhole } from './ledger.js';
import type { AlertSpan, Book, ObservedPhase, RunRecord } from './record.js';
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

/** Figures that the claims name: counts and comparisons, which say little of the machine. */
export const claimed: {
  readonly servedRatio: number;
  readonly servedOfOutageRatio: number;
  readonly timesInBlackHole: number;
  readonly timesInOverload: number;
  readonly timesWithoutKafka: number;
  readonly freshOfCapacityRatio: number;
  readonly attemptsPerCall: number;
  readonly sockets: number;
} = Object.freeze({
  servedRatio: 0.95,
  servedOfOutageRatio: 0.5,
  timesInBlackHole: 10,
  timesInOverload: 2,
  timesWithoutKafka: 2,
  freshOfCapacityRatio: 0.6,
  attemptsPerCall: 1.2,
  sockets: 60,
});

/** Whether the books are right; holds for a run of any length. */
export function ledgerClaims(unprotected: Measured, guarded: Measured): Claim[] {
  const { acknowledged, orders, reservations, events, kept } = guarded.record.ledger;
  const bare = unprotected.record.ledger;
  const once = (what: string, book: Book): Claim => ({
    text: `Every acknowledged order ${what} exactly once`,
    held: isWhole(book) && book.doubled.length === 0,
    measured: `${acknowledged} acknowledged, ${book.lost.length} lost, ${book.doubled.length} doubled`,
  });
  const claims = [once('is in PostgreSQL', orders), once('has its stock reserved', reservations)];
  if (events === undefined || bare.events === undefined) return claims;
  const books = [events.orders, events.shipments];
  const bareBooks = [bare.events.orders, bare.events.shipments];
  claims.push({
    text: 'Every message of an acknowledged order is in Kafka, and none is left in the outbox',
    held: books.every(isWhole) && kept === 0,
    measured: `${acknowledged * 2} messages, ${count(books, 'lost')} lost, ${count(books, 'doubled')} doubled (unprotected ${count(bareBooks, 'lost')} of ${bare.acknowledged * 2} lost, ${count(bareBooks, 'doubled')} doubled)`,
  });
  return claims;
}

function count(books: readonly Book[], what: 'lost' | 'doubled'): number {
  return books.reduce((sum, book) => sum + book[what].length, 0);
}

/** All claims; they are about the whole scenario, not the short one. */
export function claimsOf(unprotected: Measured, guarded: Measured): Claim[] {
  const bare = byPhase(unprotected.figures);
  const own = byPhase(guarded.figures);
  const priceTrouble = ['latency', 'errors', 'black-hole', 'overload'] as const;
  const worst = Math.min(...priceTrouble.map((id) => own(id).successRatio));
  const { kafka } = guarded.record.scenario;
  const attempts = Math.max(...guarded.figures.map(({ attemptsPerCall }) => attemptsPerCall));
  const reservations = reservationsPerOrder(guarded.record);
  const unanswered = guarded.record.outcomes.filter((outcome) => outcome === undefined).length;
  const bareUnanswered = unprotected.record.outcomes.filter((one) => one === undefined).length;
  const after = worstAfter(guarded);
  const sockets = Math.max(...guarded.figures.map((phase) => phase.sockets));
  const fresh = own('overload').freshGoodput / capacity;
  return [
    ...ledgerClaims(unprotected, guarded),
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
    outage('the inventory service', own('inventory-killed'), bare('inventory-killed')),
    outage('the database', own('database-killed'), bare('database-killed')),
    ...(kafka
      ? [
          withoutKafka('one broker of three', own('broker-killed'), bare('broker-killed')),
          withoutKafka('the whole cluster', own('kafka-unreachable'), bare('kafka-unreachable')),
          moreThan(
            claimed.timesWithoutKafka,
            'without a cluster',
            own('kafka-unreachable'),
            bare('kafka-unreachable'),
          ),
        ]
      : []),
    {
      text: 'Every customer has an answer, good or bad',
      held: unanswered === 0,
      measured: `${unanswered} never answered (unprotected ${bareUnanswered})`,
    },
    {
      text: `At most ${claimed.attemptsPerCall} requests per order reach the price service in any phase, and the inventory service in all`,
      held: Math.max(attempts, reservations) <= claimed.attemptsPerCall,
      measured: `${attempts.toFixed(2)} at most, ${reservations.toFixed(2)} on average`,
    },
    {
      text: `After each fault ${percent(claimed.servedRatio)} of the orders are served again before the next`,
      held: after >= claimed.servedRatio,
      measured: `at least ${percent(after)} (unprotected ${percent(worstAfter(unprotected))})`,
    },
    {
      text: `Never more than ${claimed.sockets} sockets`,
      held: sockets <= claimed.sockets,
      measured: `${sockets} (unprotected ${Math.max(...unprotected.figures.map((phase) => phase.sockets))})`,
    },
    ...alertClaims(guarded.record),
  ];
}

/**
 * Whether Prometheus raised the alert of the open circuit in the outage in which it must be open, and resolved
 * it afterwards. The other outages are shorter than an alert waits, or leave the circuit with nothing to do: what
 * the outbox keeps is not tried.
 */
export function alertClaims({ alerts, phases }: RunRecord): Claim[] {
  const outage = phases.find(({ phase }) => phase.id === 'black-hole');
  if (alerts === undefined || outage === undefined) return [];
  return [
    {
      text: 'The alert of the open circuit fires in the black hole, and is resolved after it',
      ...openCircuit(outage, 'prices', alerts),
    },
  ];
}

function openCircuit(
  { wall }: ObservedPhase,
  dependency: string,
  alerts: readonly AlertSpan[],
): Pick<Claim, 'held' | 'measured'> {
  const span = alerts.find(
    (one) =>
      one.alert === 'ResilCircuitOpen' &&
      one.dependency === dependency &&
      one.firedAt < wall.lifted &&
      (one.resolvedAt ?? Infinity) > wall.lifted,
  );
  if (span === undefined) return { held: false, measured: `that of ${dependency} did not fire` };
  const { firedAt, resolvedAt } = span;
  const fired = `that of ${dependency} after ${seconds(Math.max(0, firedAt - wall.start))}`;
  return resolvedAt === undefined
    ? { held: false, measured: `${fired}, never resolved` }
    : {
        held: true,
        measured: `${fired}, resolved ${seconds(resolvedAt - wall.lifted)} after its end`,
      };
}

function seconds(duration: number): string {
  return `${(duration / 1_000).toFixed(1)} s`;
}

/** Not judged where the machine is so busy that the server is away for longer than an order can wait. */
function outage(what: string, own: PhaseFigures, bare: PhaseFigures): Claim {
  const judged = own.outage <= limits.order;
  return {
    text: `While ${what} is down and restarts, ${percent(claimed.servedOfOutageRatio)} of the orders are served all the same`,
    held: !judged || own.successRatio >= claimed.servedOfOutageRatio,
    measured: judged
      ? beside(own, bare)
      : `not judged, it was away for ${(own.outage / 1_000).toFixed(1)} s, longer than an order waits: ${beside(own, bare)}`,
  };
}

/** Requests to the inventory service per order, over the whole run. */
function reservationsPerOrder({ outside, outcomes }: RunRecord): number {
  const hits = (outside.at(-1)?.stockHits ?? 0) - (outside[0]?.stockHits ?? 0);
  return hits / Math.max(1, outcomes.length);
}

/** The smallest share of orders that were served in the calm after a fault. */
function worstAfter({ figures }: Measured): number {
  return Math.min(...figures.flatMap(({ servedAfter }) => servedAfter ?? []));
}

function withoutKafka(what: string, own: PhaseFigures, bare: PhaseFigures): Claim {
  return {
    text: `With ${what} gone, ${percent(claimed.servedRatio)} of the orders are served`,
    held: own.successRatio >= claimed.servedRatio,
    measured: beside(own, bare),
  };
}

function beside(own: PhaseFigures, bare: PhaseFigures): string {
  return `${percent(own.successRatio)} (unprotected ${percent(bare.successRatio)})`;
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
