/** The parts that an adaptive limiter's calls are divided into, each with its share, queue and count. */
import type { LimiterPartition } from './adaptive-limiter-options.js';
import type { Call } from './call.js';
import type { CoDel } from './codel.js';
import { report } from './emitter.js';
import type { WaitQueue } from './wait-queue.js';

/** A partition at a moment. */
export interface PartitionState {
  readonly name: string;
  /** Calls that are always its own. */
  readonly guaranteed: number;
  readonly inFlight: number;
  readonly waiting: number;
}

/** What a share of the limit loses by not being a whole number in binary. */
const ROUNDING = 1e-9;

/** A partition. */
export class Partition<Permit> {
  readonly name: string;
  readonly minPriority: number;
  readonly queue: WaitQueue<Permit>;
  readonly codel: CoDel;
  readonly #ratio: number;
  inFlight = 0;
  guaranteed = 0;
  limit = 0;

  constructor(
    { name, guaranteedRatio = 0, minPriority = -Infinity }: LimiterPartition,
    queue: WaitQueue<Permit>,
    codel: CoDel,
  ) {
    this.name = name;
    this.minPriority = minPriority;
    this.queue = queue;
    this.codel = codel;
    this.#ratio = guaranteedRatio;
  }

  /** Its share of a limit: at least one call, rounded up. */
  follow(limit: number): void {
    this.limit = limit;
    if (this.#ratio > 0) this.guaranteed = Math.max(1, Math.ceil(limit * this.#ratio - ROUNDING));
  }

  get state(): PartitionState {
    const { name, guaranteed, inFlight, queue } = this;
    return { name, guaranteed, inFlight, waiting: queue.size };
  }
}

/** The partitions, and after them one for the calls of none. */
export function partitionsOf<Permit>(
  given: readonly LimiterPartition[],
  newQueue: () => WaitQueue<Permit>,
  newCodel: () => CoDel,
): Partition<Permit>[] {
  return [...given, { name: '(others)' }].map(
    (options) => new Partition(options, newQueue(), newCodel()),
  );
}

/** Tells which partition a call belongs to: the one that `partitionBy` names, or the first of its priority. */
export function partitionOf<Permit>(
  call: Call,
  partitions: readonly Partition<Permit>[],
  partitionBy: ((call: Call) => string) | undefined,
): Partition<Permit> {
  const rest = partitions[partitions.length - 1] as Partition<Permit>;
  if (partitions.length === 1) return rest;
  if (partitionBy === undefined)
    return partitions.find(({ minPriority }) => call.priority >= minPriority) ?? rest;
  try {
    const name = partitionBy(call);
    return partitions.find((partition) => partition.name === name) ?? rest;
  } catch (error) {
    report(error, 'partitionBy');
    return rest;
  }
}
