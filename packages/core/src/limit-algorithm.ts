/**
 * What estimates how many calls a dependency can take at a time: the contract of the algorithms, and what
 * they have in common.
 */
import { countRule, InvalidOptionError, type OptionRules } from './validate.js';

/**
 * Why a limit moved or did not: `drop` (a call was dropped: down), `slow` (one took too long: down),
 * `queueing` (calls take longer than they need: down), `room` (they don't: up), `steady` (just right),
 * `idle` (too little in use to tell), `baseline` (a new shortest duration), `probe` (the shortest
 * duration is measured anew), `no-time` (a duration of 0 tells nothing).
 */
export type LimitReason =
  | 'drop'
  | 'slow'
  | 'queueing'
  | 'room'
  | 'steady'
  | 'idle'
  | 'baseline'
  | 'probe'
  | 'no-time';

/** Estimates a limit. An instance belongs to one limiter. */
export interface LimitAlgorithm {
  readonly name: string;
  /** The limit at this moment, not rounded. */
  readonly estimate: number;
  /** Whether it wants the summary of a window rather than each call by itself. */
  readonly windowed: boolean;
  /**
   * Takes over how a call ended.
   *
   * @param duration Milliseconds it took.
   * @param inFlight Calls that were in flight when it began, itself included.
   * @param dropped Whether it was turned away or timed out: a sign of overload.
   * @throws Anything: the limiter reports it and keeps its limit, as it does when the estimate is no
   * finite number.
   */
  update(duration: number, inFlight: number, dropped: boolean): LimitReason;
}

/** What all the algorithms are told. */
export interface LimitBounds {
  /** The limit to begin with, from `minLimit` to `maxLimit`. */
  readonly initialLimit?: number | undefined;
  /** The limit is never lower; at least 1. */
  readonly minLimit?: number | undefined;
  /** The limit is never higher. */
  readonly maxLimit?: number | undefined;
}

/** What is allowed for the bounds. */
export const boundRules: OptionRules<LimitBounds> = {
  initialLimit: countRule(1),
  minLimit: countRule(1),
  maxLimit: countRule(1),
};

/** Bounds with every default in place: a default that does not fit between the given ones makes way. */
export function resolveBounds(
  owner: string,
  { initialLimit, minLimit, maxLimit }: LimitBounds,
  defaults: Required<LimitBounds>,
): { readonly initialLimit: number; readonly minLimit: number; readonly maxLimit: number } {
  const min =
    minLimit ?? Math.min(defaults.minLimit ?? 1, initialLimit ?? Infinity, maxLimit ?? Infinity);
  const max = maxLimit ?? Math.max(defaults.maxLimit ?? 1, initialLimit ?? 1, min);
  if (min > max)
    throw new InvalidOptionError(`${owner}.minLimit`, min, `must be at most maxLimit (${max})`);
  const initial = initialLimit ?? Math.min(max, Math.max(min, defaults.initialLimit ?? 1));
  if (initial < min || initial > max) {
    const rule = `must be from minLimit (${min}) to maxLimit (${max})`;
    throw new InvalidOptionError(`${owner}.initialLimit`, initial, rule);
  }
  return { initialLimit: initial, minLimit: min, maxLimit: max };
}

/**
 * A whole number for a limit: `(limit) => number`. If it throws or gives no number, the limiter
 * reports it and keeps its limit.
 */
export type OfLimit = (limit: number) => number;

/** What a user's function gives for a limit. @throws {TypeError} if it is no number. */
export function askFor(name: string, ofLimit: OfLimit, limit: number): number {
  const value: unknown = ofLimit(limit);
  if (typeof value === 'number' && !Number.isNaN(value)) return value;
  throw new TypeError(`${name} gave ${String(value)} instead of a number`);
}
