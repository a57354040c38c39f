/** What the scenarios share: a clock, a server to call, and a record of what became of the calls. */
import { isRefusal, type ResilienceEvent } from '@resil/core';
import { seededRandom, VirtualClock } from '@resil/testing';
import type { Bar, Ending } from './picture.js';

/** A time in which the server does something else than answer after its latency. */
export interface Phase {
  readonly from: number;
  readonly to: number;
  readonly does: 'fails' | 'hangs' | { readonly latency: number };
}

/** How a call of a scenario is made. */
export type MakeCall = (
  work: (context: { readonly signal: AbortSignal }) => Promise<string>,
) => Promise<string>;

/** A scenario's world. */
export class Stage {
  readonly clock: VirtualClock = new VirtualClock();
  readonly random: () => number = seededRandom(7);
  /** Calls as their callers see them. */
  readonly calls: Bar[] = [];
  /** What reached the server. */
  readonly attempts: Bar[] = [];
  readonly #phases: readonly Phase[];
  readonly #latency: number;

  constructor(latency: number, phases: readonly Phase[] = []) {
    this.#latency = latency;
    this.#phases = phases;
  }

  /** The server: answers, fails or hangs, as its phase says. */
  readonly work = (context: { readonly signal: AbortSignal }): Promise<string> => {
    const { clock } = this;
    const from = clock.now();
    const does = this.#phases.find((phase) => phase.from <= from && from < phase.to)?.does;
    const latency = typeof does === 'object' ? does.latency : this.#latency;
    return new Promise((resolve, reject) => {
      const end = (ending: Ending, settle: () => void): void => {
        forget();
        this.attempts.push({ from, to: clock.now(), ending });
        settle();
      };
      const forget =
        does === 'hangs'
          ? () => {}
          : clock.schedule(
              () =>
                does === 'fails'
                  ? end('failed', () => reject(new Error('server failed')))
                  : end('succeeded', () => resolve('answer')),
              does === 'fails' ? latency / 2 : latency,
            );
      context.signal.addEventListener('abort', () => {
        end('aborted', () => reject(context.signal.reason));
      });
    });
  };

  /** Makes a call and records what became of it. */
  async call(make: MakeCall, work: Parameters<MakeCall>[0] = this.work): Promise<void> {
    const { clock } = this;
    const from = clock.now();
    const asked = this.attempts.length;
    let ending: Ending;
    try {
      const answer = await make(work);
      ending = answer === 'answer' ? 'succeeded' : 'replaced';
    } catch (error) {
      ending = isRefusal(error) && this.attempts.length === asked ? 'refused' : 'failed';
      if (isRefusal(error)) ending = 'refused';
    }
    this.calls.push({ from, to: clock.now(), ending });
  }

  /** Makes calls whenever `times` says, and lets time pass until `until`. */
  async run(times: Iterable<number>, make: MakeCall, until: number): Promise<void> {
    for (const time of times) this.clock.schedule(() => void this.call(make), time);
    await this.clock.advanceTo(until);
  }
}

/** Times with the same gap. */
export function every(gap: number, from: number, to: number): number[] {
  const times: number[] = [];
  for (let time = from; time < to; time += gap) times.push(time);
  return times;
}

/** Times at random (Poisson), so many per second. */
export function atRandom(
  perSecond: number,
  from: number,
  to: number,
  random: () => number,
): number[] {
  const times: number[] = [];
  for (let time = from; ; ) {
    time += (-Math.log(1 - random()) / perSecond) * 1_000;
    if (time >= to) return times;
    times.push(time);
  }
}

/** Bars in the order in which they began. */
export function inOrder(bars: readonly Bar[]): Bar[] {
  return [...bars].sort((one, other) => one.from - other.from);
}

/** Takes a value now and then. */
export function sampled(
  clock: VirtualClock,
  gap: number,
  until: number,
  value: () => number,
): (readonly [number, number])[] {
  const points: (readonly [number, number])[] = [];
  for (const time of every(gap, 0, until + 1))
    clock.schedule(() => void points.push([time, value()]), time);
  return points;
}

/** The states of a circuit over time, by its events. */
export function circuitSpans(
  events: readonly ResilienceEvent[],
  until: number,
): { readonly from: number; readonly to: number; readonly state: string }[] {
  const spans: { from: number; to: number; state: string }[] = [];
  let state = 'closed';
  let from = 0;
  for (const event of events) {
    const next = /^circuit\.(opened|half-opened|closed)$/.exec(event.type)?.[1];
    if (next === undefined) continue;
    spans.push({ from, to: event.at, state });
    state = next === 'opened' ? 'open' : next === 'half-opened' ? 'half-open' : 'closed';
    from = event.at;
  }
  spans.push({ from, to: until, state });
  return spans;
}
