/**
 * Main file of the order service: the process under test. Orders arrive as planned, whether or not
 * the ones before have been answered, and the latency of each counts from its planned arrival, so
 * that a service which falls behind can't hide it.
 */
import { observe, type ResilienceEvent } from '@resil/core';
import { answerParent, childOptions, reportToParent } from './child.js';
import { plainClients, protectedClients, type Targets } from './clients.js';
import { orderId, placeOrder } from './place-order.js';
import type { CircuitChange, OrderOutcome, ServiceReport } from './record.js';
import { items, type PlannedOrder, plannedOrders, scenario } from './scenario.js';

/** Options of the process. */
export interface OrderServiceOptions {
  readonly protected: boolean;
  readonly short: boolean;
  readonly seed: number;
  readonly targets: Targets;
}

/** What the order service can be asked. `start` begins the run's time; `report` gives what is not reported yet. */
export type OrderServiceQuestion = 'ready' | 'start' | 'report';

const REPORT_INTERVAL = 200;

const options = childOptions<OrderServiceOptions>();
const clients = options.protected
  ? protectedClients(options.targets)
  : plainClients(options.targets);
const plan = plannedOrders(scenario(options));

let startedAt = 0;
let inFlight = 0;
let outcomes: OrderOutcome[] = [];
let circuits: CircuitChange[] = [];
let events: Record<string, number> = {};

const now = (): number => performance.now() - startedAt;

async function serve({ index, arrival, item, quantity }: PlannedOrder): Promise<void> {
  inFlight += 1;
  let outcome: Omit<OrderOutcome, 'latency'>;
  try {
    const acknowledgement = await placeOrder(clients, { id: orderId(index), item, quantity });
    outcome = { index, acknowledged: true, ...acknowledgement };
  } catch (error) {
    const failed = { index, acknowledged: false, fresh: false, rewritten: false };
    outcome = { ...failed, error: nameOf(error) };
  }
  inFlight -= 1;
  outcomes.push({ ...outcome, latency: now() - arrival });
}

const WARM_UP_ROUNDS = 40;

/** A service is sent no customers before it has had its connections and its code warmed up. */
async function warmUp(): Promise<void> {
  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) {
    const some = items.filter((_, index) => index % 3 === round % 3);
    await Promise.allSettled(
      some.map((item) => placeOrder(clients, { id: `warm-up-${item}`, item, quantity: 1 })),
    );
  }
}

function arrive(next: number): void {
  let index = next;
  for (; ; index += 1) {
    const order = plan[index];
    if (order === undefined) return;
    if (order.arrival > now()) break;
    void serve(order);
  }
  setTimeout(arrive, Math.max(0, (plan[index] as PlannedOrder).arrival - now()), index);
}

function report(): ServiceReport {
  const sample = { at: now(), memory: process.memoryUsage.rss(), inFlight };
  const current: ServiceReport = { outcomes, circuits, events, sample };
  outcomes = [];
  circuits = [];
  events = {};
  return current;
}

function listen(event: ResilienceEvent): void {
  events[event.type] = (events[event.type] ?? 0) + 1;
  const state = CIRCUIT_STATES[event.type];
  if (state !== undefined) circuits.push({ at: now(), circuit: event.pipeline ?? '', state });
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

observe(listen);
answerParent((question: OrderServiceQuestion) => {
  switch (question) {
    case 'ready':
      return warmUp();
    case 'start':
      report();
      startedAt = performance.now();
      arrive(0);
      setInterval(() => reportToParent(report()), REPORT_INTERVAL);
      return undefined;
    case 'report':
      return report();
  }
});
