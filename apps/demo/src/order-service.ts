/**
 * Main file of the order service: the process under test. Orders arrive as planned, whether or not
 * the ones before have been answered, and the latency of each counts from its planned arrival, so
 * that a service which falls behind can't hide it.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { observe, type ResilienceEvent } from '@resil/core';
import { report as reportTo } from '@resil/dashboard';
import { answerParent, childOptions, reportToParent } from '@resil/testbed/child';
import { plainClients, protectedClients, type Targets } from './clients.js';
import { EventLog } from './event-log.js';
import { serveOperations } from './operations-endpoint.js';
import { orderId, placeOrder } from './place-order.js';
import type { CircuitChange, OrderOutcome, ServiceReport } from './record.js';
import { RunClock } from './run-clock.js';
import {
  items,
  type PlannedOrder,
  plannedOrders,
  type ScenarioOptions,
  scenario,
} from './scenario.js';

/** Options of the process. */
export interface OrderServiceOptions extends ScenarioOptions {
  readonly protected: boolean;
  readonly targets: Targets;
  /** A folder of its own; it removes it when it ends by itself. */
  readonly folder: string;
}

/** A dashboard to report to. */
export interface ReportTarget {
  readonly to: string;
  readonly token: string;
}

/** Asks the order service to show those who run it what it does; the answer is the port of its metrics and probes. */
export interface OperateQuestion {
  readonly type: 'operate';
  readonly reports: ReportTarget;
  /** File that events are written to from the start of the run's time. */
  readonly eventLog: string;
}

/**
 * What the order service can be asked. `start` begins the run's time, `hold` makes it stand still, so
 * that no order arrives, until `go`; `report` gives what is not reported yet; `drained` is answered when
 * the outbox is empty.
 */
export type OrderServiceQuestion =
  | OperateQuestion
  | 'ready'
  | 'start'
  | 'hold'
  | 'go'
  | 'report'
  | 'drained';

const REPORT_INTERVAL = 200;
/** Between two reports to the dashboard, in ms. */
const DASHBOARD_INTERVAL = 1_000;

const options = childOptions<OrderServiceOptions>();
const clients = options.protected
  ? protectedClients(options.targets, join(options.folder, 'outbox'))
  : plainClients(options.targets);
const plan = plannedOrders(scenario(options));

const clock = new RunClock();
let next = 0;
let arriving: NodeJS.Timeout | undefined;
let inFlight = 0;
let log: EventLog | undefined;
let outcomes: OrderOutcome[] = [];
let circuits: CircuitChange[] = [];
let events: Record<string, number> = {};

async function serve({ index, arrival, item, quantity }: PlannedOrder): Promise<void> {
  inFlight += 1;
  // Of real time: an order waits on while the run's time stands still.
  const arrived = performance.now() - (clock.now - arrival);
  let outcome: Omit<OrderOutcome, 'latency'>;
  try {
    const acknowledgement = await placeOrder(clients, { id: orderId(index), item, quantity });
    outcome = { index, acknowledged: true, ...acknowledgement };
  } catch (error) {
    const failed = { index, acknowledged: false, fresh: false, rewritten: false, kept: false };
    outcome = { ...failed, error: nameOf(error) };
  }
  inFlight -= 1;
  outcomes.push({ ...outcome, latency: performance.now() - arrived });
}

const WARM_UP_ROUNDS = 40;

/** A service is sent no customers before it has had its connections and its code warmed up. */
async function warmUp(): Promise<void> {
  await clients.events?.producer.connect();
  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) {
    const some = items.filter((_, index) => index % 3 === round % 3);
    await Promise.allSettled(
      some.map((item) => placeOrder(clients, { id: `warm-up-${item}`, item, quantity: 1 })),
    );
  }
}

function arrive(): void {
  for (; ; next += 1) {
    const order = plan[next];
    if (order === undefined) return;
    const wait = order.arrival - clock.now;
    if (wait > 0) {
      arriving = setTimeout(arrive, wait);
      return;
    }
    void serve(order);
  }
}

function report(): ServiceReport {
  log?.flush();
  const kept = clients.events?.kept ?? 0;
  const sample = { at: clock.now, memory: process.memoryUsage.rss(), inFlight, kept };
  const current: ServiceReport = { outcomes, circuits, events, sample };
  outcomes = [];
  circuits = [];
  events = {};
  return current;
}

function operate({ reports, eventLog }: OperateQuestion): Promise<number> {
  reportTo({ ...reports, name: 'order service', interval: DASHBOARD_INTERVAL });
  log = new EventLog(eventLog);
  return serveOperations('order-service');
}

function listen(event: ResilienceEvent): void {
  events[event.type] = (events[event.type] ?? 0) + 1;
  const state = CIRCUIT_STATES[event.type];
  if (state !== undefined) circuits.push({ at: clock.now, circuit: event.pipeline ?? '', state });
}

const CIRCUIT_STATES: Partial<Record<ResilienceEvent['type'], CircuitChange['state']>> = {
  'circuit.opened': 'open',
  'circuit.half-opened': 'half-open',
  'circuit.closed': 'closed',
};

function nameOf(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return String(code ?? message ?? error);
}

process.once('exit', () => rmSync(options.folder, { recursive: true, force: true }));
observe(listen);
answerParent((question: OrderServiceQuestion) => {
  if (typeof question === 'object') return operate(question);
  switch (question) {
    case 'ready':
      return warmUp();
    case 'start':
      report();
      // Of the warm-up nobody wants to read.
      if (log !== undefined) observe(log.take);
      clock.start();
      arrive();
      setInterval(() => reportToParent(report()), REPORT_INTERVAL);
      return undefined;
    case 'hold':
      clearTimeout(arriving);
      clock.hold();
      return undefined;
    case 'go':
      clock.go();
      arrive();
      return undefined;
    case 'report':
      return report();
    case 'drained':
      return clients.events?.drained();
  }
});
