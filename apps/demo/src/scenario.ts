/**
 * What happens in a run, and when: the same for both runs, to the order. Everything that is a matter
 * of taste or of the machine's size stands here.
 *
 * ```
 *   calm | latency ×20 | 503s | black hole | inventory killed | database killed | broker killed |
 *   Kafka unreachable | overload | calm again
 * ```
 */
import { seededRandom } from '@resil/testing';

/** Workers of the price service, and how long each needs for an answer, in ms. */
export const priceService: { readonly workers: number; readonly serviceTime: number } =
  Object.freeze({ workers: 4, serviceTime: 100 });

/** Answers per second that the price service can give. */
export const capacity: number = (priceService.workers / priceService.serviceTime) * 1_000;

/** Orders per second when all is calm: somewhat more than half of what the price service carries. */
export const calmRate = 25;

/** Orders per second in the overload: three times what the price service carries. */
export const overloadRate: number = capacity * 3;

/** How many times longer a price takes under the fault of that name. */
export const latencyFactor = 20;

/** Milliseconds after which the customer has gone: an order acknowledged later is not a success. */
export const patience = 5_000;

/** Milliseconds within which an order is acknowledged when all is well; recovery is measured by it. */
export const prompt = 1_000;

/** What the inventory has of each item at the beginning: more than a run can sell. */
export const initialStock = 100_000;

/** Partitions of each topic: more than there are brokers, so that each leads some. */
export const topicPartitions = 6;

/** Clients of the pool, in both runs: the default of `pg`. */
export const poolSize = 10;

/** What is sold. */
export const items: readonly string[] = [
  'anvil',
  'bucket',
  'chisel',
  'drill',
  'file',
  'gimlet',
  'hammer',
  'jigsaw',
  'level',
  'pliers',
];

/** What is done to the servers. The overload does nothing to them: the load itself is the fault. */
export type Fault =
  | 'latency'
  | 'errors'
  | 'black-hole'
  | 'inventory-killed'
  | 'database-killed'
  | 'broker-killed'
  | 'kafka-unreachable'
  | 'overload';

/** One phase: what is wrong for how long, and how long all is well again afterwards. */
export interface Phase {
  readonly id: Fault | 'calm' | 'calm-again';
  readonly title: string;
  readonly fault: Fault | undefined;
  /** Orders per second during the fault. */
  readonly rate: number;
  /** Milliseconds of the fault, or of the calm. */
  readonly duration: number;
  /** Milliseconds of calm after the fault. */
  readonly calm: number;
}

/** A phase on the run's own time, which begins at 0. */
export interface ScheduledPhase extends Phase {
  readonly start: number;
  /** When the fault is to be lifted. */
  readonly lift: number;
  readonly end: number;
}

/** A whole run. */
export interface Scenario {
  readonly short: boolean;
  readonly seed: number;
  /** Whether there is a Kafka to send events to, and to break. */
  readonly kafka: boolean;
  readonly phases: readonly ScheduledPhase[];
  /** When the last order arrives. */
  readonly end: number;
  /** Milliseconds after the end in which whoever has no answer yet is waited for. */
  readonly drain: number;
  /** Milliseconds over which orders must go well for the service to count as recovered. */
  readonly recoveryWindow: number;
}

/** One order of the plan. */
export interface PlannedOrder {
  readonly index: number;
  /** Milliseconds from the start of the run. */
  readonly arrival: number;
  readonly item: string;
  readonly quantity: number;
}

/** What a scenario is made from. */
export interface ScenarioOptions {
  readonly short: boolean;
  readonly seed: number;
  readonly kafka: boolean;
}

/** The whole scenario, or the short one that passes through the same phases in a few seconds. */
export function scenario({ short, seed, kafka }: ScenarioOptions): Scenario {
  const fault = short ? 900 : 7_000;
  const calm = short ? 500 : 3_500;
  const phase = (
    id: Phase['id'],
    title: string,
    duration: number,
    after: number,
    rate: number = calmRate,
  ): Phase => ({
    id,
    title,
    fault: id === 'calm' || id === 'calm-again' ? undefined : id,
    rate,
    duration,
    calm: after,
  });
  const phases = schedule([
    // What arrives just before the first fault meets it on its way; that is not to be called calm.
    phase('calm', 'calm', short ? 600 : 6_000, short ? 200 : 1_000),
    phase('latency', `latency ×${latencyFactor}`, fault, calm),
    phase('errors', 'half 503', fault, calm),
    phase('black-hole', 'black hole', fault, calm),
    phase('inventory-killed', 'inventory killed', short ? 500 : 2_000, short ? 900 : 5_000),
    phase('database-killed', 'database killed', short ? 500 : 2_000, short ? 900 : 5_000),
    ...(kafka
      ? [
          // Long enough for its partitions to get other leaders.
          phase('broker-killed', 'broker killed', short ? 1_000 : 6_000, short ? 2_000 : 7_000),
          phase(
            'kafka-unreachable',
            'Kafka unreachable',
            short ? 1_000 : 10_000,
            short ? 900 : 7_000,
          ),
        ]
      : []),
    phase('overload', '3× overload', fault, 0, overloadRate),
    phase('calm-again', 'calm again', short ? 1_000 : 10_000, 0),
  ]);
  return {
    short,
    seed,
    kafka,
    phases,
    end: phases.at(-1)?.end ?? 0,
    drain: short ? 1_000 : patience,
    recoveryWindow: short ? 250 : 1_000,
  };
}

function schedule(phases: readonly Phase[]): ScheduledPhase[] {
  let now = 0;
  return phases.map((phase) => {
    const start = now;
    const lift = start + phase.duration;
    now = lift + phase.calm;
    return { ...phase, start, lift, end: now };
  });
}

/** Every order of a run: a Poisson process whose rate follows the phases, the same for the same seed. */
export function plannedOrders({ phases, seed }: Scenario): PlannedOrder[] {
  const random = seededRandom(seed);
  const orders: PlannedOrder[] = [];
  const stretch = (start: number, end: number, rate: number): void => {
    // A Poisson process has no memory, so it may begin anew where the rate changes.
    for (let arrival = start; ; ) {
      arrival += (-Math.log(1 - random()) / rate) * 1_000;
      if (arrival >= end) return;
      orders.push({
        index: orders.length,
        arrival,
        item: items[Math.floor(random() * items.length)] as string,
        quantity: 1 + Math.floor(random() * 9),
      });
    }
  };
  for (const phase of phases) {
    stretch(phase.start, phase.lift, phase.rate);
    stretch(phase.lift, phase.end, calmRate);
  }
  return orders;
}
