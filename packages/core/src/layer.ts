/**
 * The one contract of the library. Everything a pipeline is made of is one of two kinds of layer:
 * a guard decides whether a call may start, a strategy decides what is run, where, and how often.
 */
import type { Call } from './call.js';
import type { CallTally } from './call-tally.js';
import type { Clock } from './clock.js';
import type { LayerDescription } from './description.js';
import type { Emitter } from './emitter.js';
import type { Outcome } from './outcome.js';

/**
 * Decides whether a call may start, and learns how it ended.
 *
 * An instance is shared by all calls of all pipelines that it is given to; its state is what they
 * have in common.
 */
export interface Guard<Permit = unknown> {
  readonly name: string;
  /** Its options, live state and counters as JSON, for the pipeline's `describe()`. */
  describe?(): LayerDescription;
  /**
   * Lets the call in by returning a permit, or refuses by throwing. Gives a promise only when the
   * call has to wait; a waiting call that is aborted must reject with the abort's reason.
   */
  enter(call: Call): Permit | Promise<Permit>;
  /** Takes the permit back. Called exactly once for each permit given. */
  leave(permit: Permit, call: Call, outcome: Outcome): void;
}

/** Decides what is run, where, and how many times. An instance is shared by all calls. */
export interface Strategy {
  readonly name: string;
  /** Its options, live state and counters as JSON, for the pipeline's `describe()`. */
  describe?(): LayerDescription;
  /**
   * Runs the rest of the pipeline by `next`, as often as it wants (not at all is fine too).
   * What runs again or elsewhere gets a call of its own: `next(call.derive({ attempt: 2 }))`.
   */
  run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T>;
}

/** A strategy that, outermost in a pipeline, counts how its calls end where it sees that anyway. */
export interface CountingStrategy extends Strategy {
  readonly countsCalls?: true;
  /** With a `tally`, tells it once how the call ended, unless it throws synchronously. */
  run<T>(call: Call, next: (call: Call) => Promise<T>, tally?: CallTally): Promise<T>;
}

/** Stands for several layers, outermost first: a pipeline, or a pattern with an option that brings another along. */
export interface CompositeLayer {
  readonly name: string | undefined;
  readonly layers: readonly Layer[];
}

/** What a pipeline is made of. */
export type Layer = Guard | Strategy | CompositeLayer;

/**
 * A timeout: a strategy whose duration the engine reads, because it can cut a call short without a
 * promise of its own, and holds for admissions too.
 */
export interface TimeLimitLayer extends Strategy {
  readonly timeLimit: true;
  /** Milliseconds from entering. */
  readonly duration: number;
  /** Calls that it cut short. */
  expired: number;
}

/** A refusal that is given instead of thrown: throwing costs more than all the rest of a refusal. */
export class Refusal {
  readonly error: Error;

  constructor(error: Error) {
    this.error = error;
  }
}

/** What `enter` gives where `tryEnter` gave `permit`. */
export function permitOf<Permit>(permit: Permit | Refusal): Permit {
  if (permit instanceof Refusal) throw permit.error;
  return permit;
}

/** What a layer of ours tells the pipeline that it is put into. */
export interface OwnLayer {
  /** As `enter`, for the pipeline: gives a refusal instead of throwing it. */
  tryEnter?(call: Call): unknown;
  /** The clock that its state lives on, or that it was given; a pipeline has one clock. */
  readonly clock?: Clock | undefined;
  /** Tells of changes that happen outside of any one call. */
  readonly emitter?: Emitter | undefined;
  /** Whether a guard never looks at the duration of an outcome, except to hand it to `classify`. */
  readonly ignoresDuration?: boolean;
  /** Layers that a strategy sends calls through by itself: they are adopted, heard and asked for their clock as the pipeline's own. */
  readonly within?: readonly Layer[];
  /** Told by each pipeline that it is put into; the result, called at most once, tells that this one is closed. */
  hold?(): () => void;
  /** What stands for a strategy where calls are let in and run elsewhere: with those of its inner layers that `keep` lets stand, and without anything run twice. */
  admitting?(keep: (layer: Guard | Strategy) => boolean | Layer): Layer;
  /** Sends away who waits for a turn, and lets nobody wait any more. */
  drain?(): void;
  /** Told once by each pipeline that it is put into. */
  adopt?(owner: LayerOwner): void;
}

/** The pipeline that a layer stands in. */
export interface LayerOwner {
  readonly name: string | undefined;
  readonly key: string | undefined;
}
