/**
 * A service that stays down after what brought it down is gone. Clients call a server of fixed capacity
 * whatever becomes of the calls before (an open loop), on virtual time; the server stops for ten
 * seconds, and the queue of that time makes every answer late, so that clients give up and repeat, so
 * that the queue stays. The clients are the library: its retry, budget and timeouts decide.
 *
 * @see Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021
 */
import { type Pipeline, pipeline, retry, retryBudget, standard, timeout } from '@resil/core';
import { seededRandom, VirtualClock } from '@resil/testing';

/** Calls per second that the server can answer. */
export const CAPACITY = 300;
/** Milliseconds after which a client gives an attempt up. */
export const ATTEMPT_TIMEOUT = 1_000;
/** Milliseconds between which the server answers nothing. */
export const OUTAGE: { readonly from: number; readonly to: number } = { from: 10_000, to: 20_000 };

/** Milliseconds of a step: calls come, and answers go, together. */
const STEP = 20;

/** What is simulated. */
export interface Scenario {
  /** Calls per second. */
  readonly load: number;
  /**
   * What the clients do: no retry, one retry out of a budget of this ratio, one retry always (naive), or
   * the standard pipeline.
   */
  readonly client: 'none' | 'naive' | 'standard' | { readonly budget: number };
  /** Whether calls carry their deadline and the server drops those that are past it. */
  readonly deadline: boolean;
  /** Seconds to watch at most. */
  readonly seconds: number;
}

/** What became of it. */
export interface Recovery {
  /** Second from which on at least 99 % of the calls were answered; `undefined` if that never came. */
  readonly recoveredAt: number | undefined;
  /** Attempts per call that reached the server, over everything. */
  readonly amplification: number;
}

interface Request {
  readonly deadline: number;
  readonly answer: () => void;
}

/** Answers in order, `CAPACITY` per second. */
class Server {
  readonly #clock: VirtualClock;
  readonly #dropsExpired: boolean;
  #queue: Request[] = [];
  #head = 0;
  /** Answers that are due, in parts of one. */
  #credit = 0;
  received = 0;

  constructor(clock: VirtualClock, dropsExpired: boolean) {
    this.#clock = clock;
    this.#dropsExpired = dropsExpired;
  }

  /** A request; it stays in the queue though the client gives up. */
  request(deadline: number): Promise<void> {
    this.received++;
    return new Promise((answer) => {
      this.#queue.push({ deadline, answer });
    });
  }

  /** Answers what it can in a step. */
  work(): void {
    const now = this.#clock.now();
    if (now >= OUTAGE.from && now < OUTAGE.to) return;
    this.#credit = Math.min(this.#credit, 1) + (CAPACITY * STEP) / 1_000;
    while (this.#head < this.#queue.length) {
      const request = this.#queue[this.#head] as Request;
      const expired = this.#dropsExpired && request.deadline <= now;
      if (!expired && this.#credit < 1) break;
      this.#head++;
      if (expired) continue;
      this.#credit--;
      request.answer();
    }
    if (this.#head > 10_000) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }
}

function clientOf({ client }: Scenario, clock: VirtualClock): Pipeline {
  if (client === 'standard') {
    const random = seededRandom('metastability');
    return standard({ clock, random, totalTimeout: 5_000, attemptTimeout: ATTEMPT_TIMEOUT });
  }
  const attempt = timeout({ duration: ATTEMPT_TIMEOUT });
  if (client === 'none') return pipeline({ clock }, attempt);
  const budget =
    client === 'naive'
      ? (false as const)
      : retryBudget({ clock, ratio: client.budget, minPerSecond: 0 });
  const once = { maxAttempts: 2, baseDelay: 0, jitter: 'none' } as const;
  return pipeline({ clock }, retry({ ...once, budget }), attempt);
}

/** Seconds in a row that must be whole to count as recovered for good. */
const WHOLE = 5;

/** Runs a scenario until it has recovered, or to its end. */
export async function simulate(scenario: Scenario): Promise<Recovery> {
  const { load, deadline, seconds } = scenario;
  const clock = new VirtualClock();
  const server = new Server(clock, deadline);
  const calls = clientOf(scenario, clock);
  /** Calls by the second in which they began, and those of them that were answered. */
  const began: number[] = [];
  const answered: number[] = [];
  let made = 0;
  let due = 0;
  // A call is over within its attempts' timeouts.
  const settled = 2 * (ATTEMPT_TIMEOUT / 1_000) + 4;
  for (let now = 0; now < seconds * 1_000; now += STEP) {
    const second = Math.floor(now / 1_000);
    server.work();
    for (due += (load * STEP) / 1_000; due >= 1 - 1e-9; due--) {
      made++;
      began[second] = (began[second] ?? 0) + 1;
      calls
        .execute((call) => server.request(call.deadline))
        .then(
          () => {
            answered[second] = (answered[second] ?? 0) + 1;
          },
          () => {},
        );
    }
    await clock.advance(STEP);
    if (now % 1_000 !== 0 || second < OUTAGE.to / 1_000 + WHOLE + settled) continue;
    const from = recoveredFrom(began, answered, second - settled);
    if (from !== undefined) return { recoveredAt: from, amplification: server.received / made };
  }
  return { recoveredAt: undefined, amplification: server.received / made };
}

/** The second from which on all up to `to` are whole, if there are enough of them. */
function recoveredFrom(
  began: readonly number[],
  answered: readonly number[],
  to: number,
): number | undefined {
  let from = to;
  while (from > OUTAGE.to / 1_000 && (answered[from - 1] ?? 0) >= 0.99 * (began[from - 1] ?? 0))
    from--;
  return to - from >= WHOLE ? from : undefined;
}
