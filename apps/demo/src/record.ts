/** What is written down of a run, by the order service and by who looks on from outside. */
import type { Scenario, ScheduledPhase } from './scenario.js';

/** How an order ended for the customer. An order without one has had no answer at all. */
export interface OrderOutcome {
  readonly index: number;
  /** Milliseconds from its planned arrival to the answer, good or bad. */
  readonly latency: number;
  readonly acknowledged: boolean;
  /** Whether its price was of the moment. */
  readonly fresh: boolean;
  /** Whether an earlier attempt had written it already. */
  readonly rewritten: boolean;
  /** Whether its events were to be sent later. */
  readonly kept: boolean;
  /** Code or message of the error, if it failed. */
  readonly error?: string;
}

/** State of a circuit. */
export type CircuitStateName = 'closed' | 'open' | 'half-open';

/** A circuit changed state. */
export interface CircuitChange {
  /** On the run's time. */
  readonly at: number;
  readonly circuit: string;
  readonly state: CircuitStateName;
}

/** The order service as it sees itself. */
export interface ServiceSample {
  /** On the run's time. */
  readonly at: number;
  /** Resident memory, in bytes. */
  readonly memory: number;
  /** Orders without an answer yet. */
  readonly inFlight: number;
  /** Events that wait in the outbox. */
  readonly kept: number;
}

/** What the order service reports, several times a second. */
export interface ServiceReport {
  readonly outcomes: readonly OrderOutcome[];
  readonly circuits: readonly CircuitChange[];
  /** How often each kind of event happened since the last report. */
  readonly events: Readonly<Record<string, number>>;
  readonly sample: ServiceSample;
}

/** The order service as it is seen from outside. */
export interface OutsideSample {
  /** On the run's time. */
  readonly at: number;
  /** Connections that the order service holds open. */
  readonly sockets: number;
  /** Requests that have reached the price service since the start. */
  readonly priceHits: number;
  /** Requests that have reached the inventory service since the start. */
  readonly stockHits: number;
}

/** A phase as it really went: a database takes its own time to come back. Moments are on the run's time. */
export interface ObservedPhase {
  readonly phase: ScheduledPhase;
  readonly start: number;
  /** When the fault was over. */
  readonly lifted: number;
  /** Milliseconds of real time from the start to the end of the fault. */
  readonly outage: number;
  /** The same two moments in ms since 1970, as whoever looks on from outside has them. */
  readonly wall: { readonly start: number; readonly lifted: number };
  /** When the next phase began. */
  readonly end: number;
}

/** What one of the servers has written down, beside what customers were told. */
export interface Book {
  /** Acknowledged orders that it lacks. */
  readonly lost: readonly string[];
  /** Orders that it has more than once. */
  readonly doubled: readonly string[];
  /** Orders of which it has something else than what was ordered. */
  readonly wrong: readonly string[];
  /** Orders that it has and nobody was told of: the answer was lost, a later step failed, or it is still on its way. */
  readonly unacknowledged: number;
}

/** What all servers say at the end. */
export interface Ledger {
  /** Orders that were acknowledged to a customer. */
  readonly acknowledged: number;
  /** Rows in PostgreSQL. */
  readonly orders: Book;
  /** Reservations of the inventory service. */
  readonly reservations: Book;
  /** Messages in the two topics, read to the end; `undefined` without Kafka. */
  readonly events: { readonly orders: Book; readonly shipments: Book } | undefined;
  /** Orders in the database that lack a message in Kafka: sold, and never shipped or never billed. */
  readonly halfDone: number;
  /** Acknowledged orders of which a later attempt found that an earlier one had written them. */
  readonly rewritten: number;
  /** Events still in the outbox. */
  readonly kept: number;
}

/** An alert that Prometheus raised. Moments are in ms since 1970. */
export interface AlertSpan {
  readonly alert: string;
  readonly dependency: string;
  readonly severity: string;
  readonly firedAt: number;
  /** `undefined` if it still fired at the end. */
  readonly resolvedAt: number | undefined;
}

/** Everything about a run. */
export interface RunRecord {
  readonly protected: boolean;
  readonly scenario: Scenario;
  readonly phases: readonly ObservedPhase[];
  /** By order number; a hole is an order without an answer. */
  readonly outcomes: ReadonlyArray<OrderOutcome | undefined>;
  readonly circuits: readonly CircuitChange[];
  readonly events: Readonly<Record<string, number>>;
  readonly service: readonly ServiceSample[];
  readonly outside: readonly OutsideSample[];
  readonly ledger: Ledger;
  /** What Prometheus raised; `undefined` where none looked on. */
  readonly alerts: readonly AlertSpan[] | undefined;
}
