/**
 * Which endpoint gets a call, among those of a group that may: two are drawn by weight, the one that
 * runs fewer calls for its weight gets it. Least loaded of two is within a constant of least loaded of
 * all and doesn't send everybody to the same one (Mitzenmacher, "The power of two choices", 2001).
 */
import type { Random } from './random.js';

/** What the choice goes by. */
export interface Candidate {
  /** Calls that run against it. */
  readonly running: number;
  /** Its weight at this moment. */
  weightAt(now: number): number;
}

/** Chooses one of at least one. */
export function leastLoadedOfTwo<C extends Candidate>(
  candidates: readonly C[],
  now: number,
  random: Random,
): C {
  if (candidates.length === 1) return candidates[0] as C;
  const weights = candidates.map((candidate) => candidate.weightAt(now));
  const first = draw(weights, -1, random);
  const second = draw(weights, first, random);
  const loadOf = (index: number): number =>
    (candidates[index] as C).running / (weights[index] as number);
  return candidates[loadOf(second) < loadOf(first) ? second : first] as C;
}

/** Draws an index by weight, `except` that one. */
function draw(weights: readonly number[], except: number, random: Random): number {
  let left = random() * weights.reduce((sum, w, index) => (index === except ? sum : sum + w), 0);
  let last = -1;
  for (const [index, weight] of weights.entries()) {
    if (index === except) continue;
    last = index;
    left -= weight;
    if (left < 0) return index;
  }
  // What rounding leaves over.
  return last;
}

/**
 * The share of its weight that an endpoint has `elapsed` milliseconds after its return: grows from
 * `minimum` to 1 over `duration`, as Envoy's slow start with an aggression of 1.
 */
export function slowStartShare(elapsed: number, duration: number, minimum: number): number {
  if (elapsed >= duration) return 1;
  return Math.max(minimum, elapsed / duration);
}
