/**
 * How long retry waits: a rule that grows with the attempts, capped, then spread by jitter so that
 * clients that failed together do not come back together. Full, equal and decorrelated jitter after
 * "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), with one deviation: decorrelated
 * jitter is capped before it is drawn, not after, because a draw that is cut to the cap is no longer
 * random.
 */
import type { Random } from './random.js';

/**
 * How the delay grows: `exponential` doubles it, `linear` adds `baseDelay` each time, `constant`
 * keeps it; a function gets the number of the attempt that failed, counting from 1, and gives
 * milliseconds.
 */
export type Backoff = 'exponential' | 'linear' | 'constant' | ((attempt: number) => number);

/**
 * How chance spreads the delay `d`: `full` draws from [0, d), `equal` from [d/2, d), `decorrelated`
 * from [baseDelay, 3 × the delay before) whatever the backoff, `none` keeps d.
 */
export type Jitter = 'full' | 'equal' | 'decorrelated' | 'none';

/** What a delay is made from. */
export interface BackoffSettings {
  readonly baseDelay: number;
  readonly maxDelay: number;
  readonly backoff: Backoff;
  readonly jitter: Jitter;
}

/**
 * Milliseconds to wait after attempt `attempt` (counting from 1) failed. `previous` is the delay
 * before that attempt; `undefined` after the first.
 */
export function backoffDelay(
  settings: BackoffSettings,
  attempt: number,
  previous: number | undefined,
  random: Random,
): number {
  const { baseDelay, maxDelay, jitter } = settings;
  if (jitter === 'decorrelated') {
    const least = Math.min(baseDelay, maxDelay);
    const most = Math.max(least, Math.min(maxDelay, (previous ?? baseDelay) * 3));
    return least + random() * (most - least);
  }
  const delay = Math.min(maxDelay, grown(settings, attempt));
  if (jitter === 'full') return random() * delay;
  if (jitter === 'equal') return delay / 2 + random() * (delay / 2);
  return delay;
}

/** The longest delay that `backoffDelay` can give after attempt `attempt`. */
export function longestDelay(settings: BackoffSettings, attempt: number): number {
  const { baseDelay, maxDelay, jitter } = settings;
  const grownDelay =
    jitter === 'decorrelated' ? baseDelay * 3 ** attempt : grown(settings, attempt);
  return Math.min(maxDelay, grownDelay);
}

function grown({ backoff, baseDelay }: BackoffSettings, attempt: number): number {
  if (backoff === 'exponential') return baseDelay * 2 ** (attempt - 1);
  if (backoff === 'linear') return baseDelay * attempt;
  if (backoff === 'constant') return baseDelay;
  return backoff(attempt);
}
