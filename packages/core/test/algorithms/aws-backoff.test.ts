/**
 * The simulation behind "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), with the
 * library's own delays in it: clients that write the same row under optimistic locking.
 *
 * Numbers: aws-samples/aws-arch-backoff-simulator, run again with 100 trials per cell.
 */
import { seededRandom } from '@resil/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { type BackoffSettings, backoffDelay } from '../../src/backoff.js';
import type { Random } from '../../src/random.js';

const TRIALS = 100;
const BASE = 5;
const CAP = 2_000;

/** Milliseconds to wait after the `attempt`-th failure, given the wait before. */
type Delay = (attempt: number, previous: number | undefined, random: Random) => number;

function delaysOf(settings: Partial<BackoffSettings>): Delay {
  const all: BackoffSettings = {
    // Theirs doubles before the first wait already.
    baseDelay: settings.jitter === 'decorrelated' ? BASE : 2 * BASE,
    maxDelay: CAP,
    backoff: 'exponential',
    jitter: 'none',
    ...settings,
  };
  return (attempt, previous, random) => backoffDelay(all, attempt, previous, random);
}

const algorithms = {
  Exponential: delaysOf({}),
  Decorrelated: delaysOf({ jitter: 'decorrelated' }),
  /** As in the article: drawn first, and cut to the cap then. */
  'Decorrelated, then cut': (attempt, previous, random) =>
    Math.min(
      CAP,
      delaysOf({ jitter: 'decorrelated', maxDelay: Infinity })(attempt, previous, random),
    ),
  Equal: delaysOf({ jitter: 'equal' }),
  Full: delaysOf({ jitter: 'full' }),
  None: delaysOf({ backoff: 'constant', baseDelay: 0 }),
} satisfies Record<string, Delay>;
type Algorithm = keyof typeof algorithms;

interface Message {
  readonly at: number;
  readonly order: number;
  readonly arrive: () => void;
}

/** Messages in order of arrival: a binary heap. */
class Network {
  readonly #heap: Message[] = [];
  #order = 0;

  send(at: number, arrive: () => void): void {
    const heap = this.#heap;
    const message = { at, order: this.#order++, arrive };
    let place = heap.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!before(message, heap[parent]!)) break;
      heap[place] = heap[parent]!;
      place = parent;
    }
    heap[place] = message;
  }

  receive(): Message | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || last === first) return first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (before(last, heap[child]!)) break;
      heap[place] = heap[child]!;
      place = child;
    }
    heap[place] = last;
    return first;
  }
}

function before(one: Message, other: Message): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}

/** One trial: how long until all clients have written, and how often they wrote. */
function trial(clients: number, delay: Delay, random: Random): { time: number; calls: number } {
  const network = new Network();
  let version = 0;
  let calls = 0;
  let now = 0;
  /** Each message takes |N(10 ms, 2 ms)|, by the transform of Box and Muller. */
  const latency = (): number => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return Math.abs(10 + 2 * radius * Math.cos(2 * Math.PI * random()));
  };
  for (let client = 0; client < clients; client++) {
    let failures = 0;
    let previous: number | undefined;
    const read = (wait: number): void =>
      network.send(now + latency() + wait, () => {
        const seen = version;
        network.send(now + latency(), () => write(seen));
      });
    const write = (seen: number): void =>
      network.send(now + latency(), () => {
        calls += 1;
        const succeeded = seen === version;
        if (succeeded) version += 1;
        network.send(now + latency(), () => {
          if (succeeded) return;
          failures += 1;
          previous = delay(failures, previous, random);
          read(previous);
        });
      });
    read(0);
  }
  for (let message = network.receive(); message !== undefined; message = network.receive()) {
    now = message.at;
    message.arrive();
  }
  return { time: now, calls };
}

const CLIENTS = [1, 10, 20, 50, 100, 190] as const;
type Clients = (typeof CLIENTS)[number];

type Row = Record<Clients, readonly [time: number, calls: number]>;

const decorrelated: Row = {
  1: [40, 1],
  10: [443, 37.8],
  20: [819, 101.2],
  50: [2_170, 374.9],
  100: [4_582, 1_004.3],
  190: [7_877, 2_437.0],
};

/** Mean of time in ms, and of calls, over 100 trials. */
const published: Record<Algorithm, Row> = {
  Exponential: {
    1: [40, 1],
    10: [3_358, 50.4],
    20: [14_857, 151.2],
    50: [36_463, 626.8],
    100: [62_821, 1_842.3],
    190: [101_051, 5_173.6],
  },
  Decorrelated: decorrelated,
  'Decorrelated, then cut': decorrelated,
  Equal: {
    1: [40, 1],
    10: [727, 42.1],
    20: [1_619, 108.2],
    50: [4_195, 346.6],
    100: [6_544, 813.4],
    190: [9_381, 1_759.8],
  },
  Full: {
    1: [40, 1],
    10: [469, 39.0],
    20: [991, 100.7],
    50: [2_847, 332.6],
    100: [4_806, 796.1],
    190: [7_444, 1_773.8],
  },
  None: {
    1: [40, 1],
    10: [381, 50.5],
    20: [607, 152.4],
    50: [1_143, 691.3],
    100: [2_029, 2_424.6],
    190: [3_538, 8_003.2],
  },
};

/**
 * Where many clients reach the cap, ours, which draws below the cap instead of cutting what was drawn,
 * is done earlier for the same calls: those that were cut would all come back together.
 */
function isQuickerThanPublished(cell: { algorithm: Algorithm; clients: Clients }): boolean {
  return cell.algorithm === 'Decorrelated' && cell.clients === 190;
}

describe('backoffDelay in the AWS simulation', () => {
  const measured = {} as Record<Algorithm, Record<Clients, { time: number; calls: number }>>;

  beforeAll(() => {
    for (const algorithm of Object.keys(algorithms) as Algorithm[]) {
      measured[algorithm] = {} as (typeof measured)[Algorithm];
      for (const clients of CLIENTS) {
        const random = seededRandom(`${algorithm} ${clients}`);
        let time = 0;
        let calls = 0;
        for (let run = 0; run < TRIALS; run++) {
          const one = trial(clients, algorithms[algorithm], random);
          time += one.time / TRIALS;
          calls += one.calls / TRIALS;
        }
        measured[algorithm][clients] = { time, calls };
      }
    }
  });

  const cells = (Object.keys(published) as Algorithm[]).flatMap((algorithm) =>
    CLIENTS.map((clients) => ({ algorithm, clients })),
  );
  it.each(cells)('$algorithm with $clients clients: calls within 3 %, time within 10 %', (cell) => {
    const [time, calls] = published[cell.algorithm][cell.clients];
    const seen = measured[cell.algorithm][cell.clients];
    expect(Math.abs(seen.calls / calls - 1)).toBeLessThan(0.03);
    if (isQuickerThanPublished(cell)) {
      expect(seen.time / time).toBeGreaterThan(0.8);
      expect(seen.time / time).toBeLessThan(0.9);
    } else expect(Math.abs(seen.time / time - 1)).toBeLessThan(0.1);
  });

  it('(a) without backoff the calls grow with the square of the clients', () => {
    const { None } = measured;
    const growth = Math.log(None[190].calls / None[50].calls) / Math.log(190 / 50);
    expect(growth).toBeGreaterThan(1.7);
    expect(growth).toBeLessThan(2.1);
  });

  it('(a) full jitter makes fewer than half of the calls of exponential backoff without jitter', () => {
    const { Full, Exponential, None } = measured;
    expect(Exponential[100].calls / Full[100].calls).toBeGreaterThan(2);
    expect(None[100].calls / Full[100].calls).toBeGreaterThan(2.8);
  });

  it('(b) full and decorrelated jitter are done in about a thirteenth of its time', () => {
    const { Full, Decorrelated, Exponential } = measured;
    for (const jittered of [Full, Decorrelated]) {
      expect(Exponential[100].time / jittered[100].time).toBeGreaterThan(11.5);
      expect(Exponential[100].time / jittered[100].time).toBeLessThan(15.5);
    }
  });

  it('(c) equal jitter makes no fewer calls than full jitter up to 100 clients, and takes longer', () => {
    const { Full, Equal } = measured;
    for (const clients of [10, 20, 50, 100] as const) {
      expect(Equal[clients].calls).toBeGreaterThan(Full[clients].calls);
      expect(Equal[clients].time).toBeGreaterThan(Full[clients].time);
    }
  });
});
