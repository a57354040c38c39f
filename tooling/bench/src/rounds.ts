/**
 * Measures contenders side by side: a round runs each of them once, one after the other, and rounds
 * follow each other, so that what else happens on the machine hits all of them alike. Every contender
 * runs in the same loop, which awaits each call before the next. The figure is CPU time of the process
 * (garbage collection included), which other processes disturb less than wall time; ratios are taken
 * within a round, and the median over the rounds is reported.
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

/** What a measurement found. */
export class Measurement {
  readonly #samples: ReadonlyMap<string, readonly number[]>;

  constructor(samples: ReadonlyMap<string, readonly number[]>) {
    this.#samples = samples;
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
  const samples = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  // The first rounds warm up: the contenders see each other's types before anything counts.
  for (let round = -2; round < rounds; round++) {
    for (const contender of contenders) {
      const cost = await costOf(contender, counts.get(contender) as number, loop);
      if (round >= 0) (samples.get(contender.name) as number[]).push(cost);
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

/** Collects garbage now; the bench runs with `--expose-gc`. */
export function collectGarbage(): void {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  globalThis.gc();
}

async function callsIn(time: number, contender: Contender, loop: Loop): Promise<number> {
  let count = 100;
  for (let left = 20; left > 0; left--) {
    const spent = (await costOf(contender, count, loop)) * count;
    if (spent > (time * 1e6) / 2) return Math.ceil((count * time * 1e6) / spent);
    count *= 2;
  }
  return count;
}

async function costOf(contender: Contender, count: number, loop: Loop): Promise<number> {
  const before = process.cpuUsage();
  await loop(contender.call, count);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1_000) / count;
}
