/**
 * A real HTTP server offered several times what it can do. Its requests wait in a queue of any length,
 * and it works on what nobody waits for any more: without a limit every answer comes too late. With an
 * adaptive limiter in the client as many calls go out as it can take, and the rest is refused at once.
 */
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type Call, isRefusal, type Layer, pipeline, timeout } from '@resil/core';
import { type HttpProcess, startHttpProcess } from '@resil/testbed';

/** The server and what it is offered. */
export interface OverloadOptions {
  /** Requests that it works on at a time. */
  readonly workers: number;
  /** Milliseconds that one takes. */
  readonly serviceTime: number;
  /** Milliseconds after which a client gives up. */
  readonly timeout: number;
  /** How many times its capacity it is offered. */
  readonly times: number;
  /** Milliseconds before it is counted. */
  readonly warmUp: number;
  /** Milliseconds in which it is counted. */
  readonly duration: number;
}

/** What came of a run. */
export interface Load {
  /** Calls made. */
  readonly calls: number;
  /** Calls answered in time. */
  readonly good: number;
  /** Calls refused by the client's own limiter. */
  readonly refused: number;
  /** Calls that failed: too late. */
  readonly failed: number;
  /** Answered in time per second. */
  readonly goodput: number;
  /** Calls per second that the server could have answered in that very run, by the time that its workers needed. */
  readonly capacity: number;
}

type Send = (call: Call) => Promise<void>;

/** A server in a process of its own. */
export class OverloadBed {
  readonly #server: HttpProcess;
  readonly #options: OverloadOptions;

  private constructor(server: HttpProcess, options: OverloadOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** Starts the server. */
  static async start(options: OverloadOptions): Promise<OverloadBed> {
    const { workers, serviceTime } = options;
    return new OverloadBed(await startHttpProcess({ workers, serviceTime }), options);
  }

  stop(): Promise<void> {
    return this.#server.kill();
  }

  /** Calls per second that the server can answer at best. */
  get capacity(): number {
    const { workers, serviceTime } = this.#options;
    return (workers * 1_000) / serviceTime;
  }

  /** What it answers on this machine at this time: each worker busy all the time, and no queue. */
  async measure(): Promise<number> {
    const { workers, warmUp, duration } = this.#options;
    return this.#with(async (send) => {
      const calls = pipeline();
      let answered = 0;
      const startedAt = performance.now();
      const from = startedAt + warmUp;
      const until = from + duration;
      const busy = async (): Promise<void> => {
        while (performance.now() < until) {
          await calls.execute(send);
          const now = performance.now();
          if (now >= from && now < until) answered++;
        }
      };
      await Promise.all(Array.from({ length: workers }, busy));
      return (answered * 1_000) / duration;
    });
  }

  /** Offers several times its capacity, through `layers`, whatever becomes of the calls. */
  async overload(layers: readonly Layer[]): Promise<Load> {
    const { times, warmUp, duration } = this.#options;
    await this.#drained();
    return this.#with(async (send) => {
      const calls = pipeline(timeout({ duration: this.#options.timeout }), ...layers);
      const load = { calls: 0, good: 0, refused: 0, failed: 0 };
      const running = new Set<Promise<void>>();
      const perMillisecond = (this.capacity * times) / 1_000;
      const warmUpCalls = Math.round(warmUp * perMillisecond);
      const total = warmUpCalls + Math.round(duration * perMillisecond);
      const startedAt = performance.now();
      let countedFrom = startedAt;
      let before = this.#server.counters();
      // By number and not by time, so that a machine that stands still for a while counts as many.
      for (let made = 0; made < total; await delay(5)) {
        const due = Math.min(total, (performance.now() - startedAt) * perMillisecond);
        for (; made < due; made++) {
          const counted = made >= warmUpCalls;
          if (made === warmUpCalls) {
            countedFrom = performance.now();
            before = this.#server.counters();
          }
          if (counted) load.calls++;
          const call = calls.execute(send).then(
            () => {
              if (counted) load.good++;
            },
            (error) => {
              if (!counted) return;
              if (isRefusal(error)) load.refused++;
              else load.failed++;
            },
          );
          running.add(call);
          void call.finally(() => running.delete(call));
        }
      }
      const spent = performance.now() - countedFrom;
      const [first, last] = [await before, await this.#server.counters()];
      await Promise.all(running);
      const serviceTime = (last.busyTime - first.busyTime) / (last.served - first.served);
      const capacity = (this.#options.workers * 1_000) / serviceTime;
      return { ...load, goodput: (load.good * 1_000) / spent, capacity };
    });
  }

  /** Waits until the server has worked off what was left of the run before. */
  async #drained(): Promise<void> {
    while ((await this.#server.counters()).waiting > 0) await delay(50);
  }

  async #with<T>(run: (send: Send) => Promise<T>): Promise<T> {
    const agent = new Agent({ keepAlive: true });
    try {
      return await run(({ signal }) => get(`${this.#server.origin}/work`, agent, signal));
    } finally {
      agent.destroy();
    }
  }
}

function get(url: string, agent: Agent, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, signal }, (response) => {
      response.on('error', reject).on('end', resolve).resume();
    });
    sent.on('error', reject).end();
  });
}
