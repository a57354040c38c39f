/**
 * Measures contenders side by side: a round runs each of them once, one after the other, and rounds
 * follow each other, so that what else happens on the machine hits all of them alike. Every contender
 * runs in the same loop, which awaits each call before the next. The figure is CPU time of the process
 * (garbage collection included), which other processes disturb less than wall time; wall time is kept
 * beside it. Ratios are taken within a round, and the median over the rounds is reported.
 */
import { setImmediate } from 'node:timers/promises';
import { medianOf, quartilesOf } from './statistics.js';

/** Something that can be called again and again. */
export interface Contender {
  readonly name: string;
  readonly call: () => PromiseLike<unknown>;
}

/** Runs `count` calls in sequence. */
export type Loop = (call: () => PromiseLike<unknown>, count: number) => Promise<void>;

/** How a measurement is made. */
export interface RoundOptions {
  /** Rounds that count. Default: 15. */
  readonly rounds?: number;
  /** CPU milliseconds that a contender has in a round, roughly. Default: 60. */
  readonly roundTime?: number;
  /** Calls of each contender in a round, instead of `roundTime`. */
  readonly calls?: number;
  /** Default: {@link awaitEach}. */
  readonly loop?: Loop;
}

/** Nanoseconds of one call. */
interface Cost {
  readonly cpu: number;
  readonly wall: number;
}

/** What a measurement found, by CPU time. */
export class Measurement {
  /** The same by wall time. */
  readonly wall: Omit<Measurement, 'wall'>;
  readonly #samples: ReadonlyMap<string, readonly number[]>;

  constructor(samples: ReadonlyMap<string, readonly Cost[]>, time: keyof Cost = 'cpu') {
    this.#samples = new Map(
      [...samples].map(([name, costs]) => [name, costs.map((cost) => cost[time])]),
    );
    this.wall = time === 'wall' ? this : new Measurement(samples, 'wall');
  }

  /** Median nanoseconds of one call. */
  cost(name: string): number {
    return medianOf(this.#of(name));
  }

  /** The middle half of the rounds, in nanoseconds. */
  spread(name: string): readonly [number, number] {
    return quartilesOf(this.#of(name));
  }

  /** How many times as much as `base` a call of `name` costs: median over the rounds. */
  ratio(name: string, base: string): number {
    const bases = this.#of(base);
    return medianOf(this.#of(name).map((cost, round) => cost / (bases[round] as number)));
  }

  /** By how many nanoseconds a call of `name` costs more than `base`: median over the rounds. */
  extra(name: string, base: string): number {
    const bases = this.#of(base);
    return medianOf(this.#of(name).map((cost, round) => cost - (bases[round] as number)));
  }

  #of(name: string): readonly number[] {
    const samples = this.#samples.get(name);
    if (samples === undefined) throw new Error(`no contender is called '${name}'`);
    return samples;
  }
}

/** The loop for calls that succeed. */
export const awaitEach: Loop = async (call, count) => {
  for (let index = 0; index < count; index++) await call();
};

/**
 * The loop for calls that fail, or that sometimes do. It lets the event loop turn now and then, as it
 * does in a service: Node keeps a note of each promise that was rejected before anybody listened
 * until then.
 */
export const awaitEachFailing: Loop = async (call, count) => {
  for (let index = 0; index < count; index++) {
    if (index % 100 === 0) await setImmediate();
    try {
      await call();
    } catch {
      // The failure is what is measured.
    }
  }
};

/** A loop that keeps `inFlight` calls going at a time. */
export function concurrently(inFlight: number): Loop {
  return async (call, count) => {
    let left = count;
    const worker = async (): Promise<void> => {
      while (left-- > 0) await call();
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
  };
}

/** Measures the contenders in interleaved rounds. */
export async function measure(
  contenders: readonly Contender[],
  options: RoundOptions = {},
): Promise<Measurement> {
  const { rounds = 15, roundTime = 60, loop = awaitEach } = options;
  const counts = new Map<Contender, number>();
  for (const contender of contenders) {
    counts.set(contender, options.calls ?? (await callsIn(roundTime, contender, loop)));
  }
  const samples = new Map<string, Cost[]>(contenders.map(({ name }) => [name, []]));
  // The first rounds warm up: the contenders see each other's types before anything counts.
  for (let round = -2; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      // Each comes first in turn, so that none profits from its place.
      const contender = contenders[(turn + round + 2) % contenders.length] as Contender;
      const cost = await costOf(contender, counts.get(contender) as number, loop);
      if (round >= 0) (samples.get(contender.name) as Cost[]).push(cost);
    }
  }
  return new Measurement(samples);
}

/** Bytes that one call allocates: growth of the heap over calls too few to start a collection. */
export async function allocationOf(contender: Contender, loop: Loop = awaitEach): Promise<number> {
  const calls = 500;
  const samples: number[] = [];
  for (let round = 0; round < 9; round++) {
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    await loop(contender.call, calls);
    samples.push((process.memoryUsage().heapUsed - before) / calls);
  }
  return medianOf(samples);
}

/**
 * Bytes of one call that outlive the collection of young objects that follows: something still holds
 * them, so that they are copied, and freed by a full collection only.
 */
export async function survivalOf(contender: Contender, loop: Loop = awaitEach): Promise<number> {
  // Few, so that hardly any collection comes in between.
  const calls = 200;
  const samples: number[] = [];
  for (let round = 0; round < 9; round++) {
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    await loop(contender.call, calls);
    globalThis.gc?.({ type: 'minor' });
    samples.push((process.memoryUsage().heapUsed - before) / calls);
  }
  return medianOf(samples);
}

/** Collects garbage now; the bench runs with `--expose-gc`. */
export function collectGarbage(): void {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  globalThis.gc();
}

/** Calls that fit into `time`, counted when the contender is warm. */
async function callsIn(time: number, contender: Contender, loop: Loop): Promise<number> {
  let count = 10;
  for (let warm = 0; warm < 3; ) {
    const { cpu } = await costOf(contender, count, loop);
    if (cpu * count > (time * 1e6) / 2) warm++;
    count = Math.ceil(Math.min(count * 2, (time * 1e6) / cpu));
  }
  return count;
}

async function costOf(contender: Contender, count: number, loop: Loop): Promise<Cost> {
  const startedAt = performance.now();
  const before = process.cpuUsage();
  await loop(contender.call, count);
  const { user, system } = process.cpuUsage(before);
  const wall = ((performance.now() - startedAt) * 1e6) / count;
  return { cpu: ((user + system) * 1_000) / count, wall };
}
