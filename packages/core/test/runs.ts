/** How many random histories a property is tried on, and the seed that makes every run the same. */
import type { Parameters } from 'fast-check';

/** Runs per guard in `npm test`. */
export const RUNS = 10_000;

/** A failing history is shrunk and printed with its seed and path; both can be put in here to see it again. */
export function runs(numRuns: number = RUNS): Parameters<unknown> {
  return { seed: 20_260_801, numRuns };
}

/** Milliseconds that a property may take on a machine that is busy with other things. */
export const PATIENCE = 120_000;
