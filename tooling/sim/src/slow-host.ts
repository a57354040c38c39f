/**
 * The overload of overload.ts on virtual time, where nothing else disturbs it: what the limiters do by
 * themselves, and what they do when answers become slower for a reason that is not a queue.
 */
import { isRefusal, pipeline, timeout } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { limiters } from './limiters.js';

const WORKERS = 20;
const SERVICE_TIME = 100;
const TIMEOUT = 1_000;
const WARM_UP = 3_000;
const DURATION = 20_000;
/** Milliseconds between two calls: five times what the server can do. */
const INTERVAL = 1;

/** What came of a run. */
export interface QuietLoad {
  readonly good: number;
  readonly failed: number;
  readonly refused: number;
  /** Answered in time, as a share of what the server could answer. */
  readonly share: number;
}

/**
 * Offers five times the capacity through a limiter, or through none. `extra` is how much longer an
 * answer is on its way than the server worked on it, in ms, at a time.
 */
export async function overloadVirtually(
  limiter: keyof typeof limiters | 'none',
  extra: (now: number) => number = () => 0,
): Promise<QuietLoad> {
  const clock = new VirtualClock();
  const waiting: (() => void)[] = [];
  let busy = 0;
  const work = (): void => {
    while (busy < WORKERS && waiting.length > 0) {
      const answer = waiting.shift() as () => void;
      busy++;
      clock.schedule(() => {
        busy--;
        clock.schedule(answer, extra(clock.now()));
        work();
      }, SERVICE_TIME);
    }
  };
  const send = (): Promise<void> =>
    new Promise((answer) => {
      waiting.push(answer);
      work();
    });
  const layer = limiters[limiter]?.(clock);
  const calls = pipeline(
    { clock },
    timeout({ duration: TIMEOUT }),
    ...(layer === undefined ? [] : [layer]),
  );
  const load = { good: 0, failed: 0, refused: 0 };
  for (let now = 0; now < WARM_UP + DURATION; now += INTERVAL) {
    const counted = now >= WARM_UP;
    calls.execute(send).then(
      () => {
        if (counted) load.good++;
      },
      (error) => {
        if (!counted) return;
        if (isRefusal(error)) load.refused++;
        else load.failed++;
      },
    );
    await clock.advance(INTERVAL);
  }
  return { ...load, share: load.good / ((WORKERS * DURATION) / SERVICE_TIME) };
}
