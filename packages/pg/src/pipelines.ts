/**
 * The pipelines of a pool, one set per key. Three ways through the same breaker and limits:
 *
 * - `whole`: a query by itself, with everything the pipeline has.
 * - `connect`: getting a client; no fallback, whose rows would be taken for a client.
 * - `held`: a statement in an open transaction; only what admits and limits, nothing that repeats or
 *   replaces a part of a whole.
 */
import {
  type Call,
  type CallOptions,
  Fallback,
  type Keyed,
  keyed,
  type Pipeline,
  pipeline,
  standard,
  Timeout,
} from '@resil/core';
import { classify } from './classify.js';
import { pgDefaults, type ResolvedPgOptions } from './options.js';

/** The ways through one key's pipeline. */
export interface PipelineSet {
  readonly whole: Pipeline;
  readonly connect: Pipeline;
  readonly held: Pipeline;
  /** For what must get through however things stand: a COMMIT or ROLLBACK that was refused. */
  readonly always: Pipeline;
}

/** Gives the pipelines of a key. */
export class Pipelines {
  readonly #options: ResolvedPgOptions;
  readonly #key: string;
  readonly #own: PipelineSet;
  readonly #others: Keyed;
  readonly #sets = new WeakMap<Pipeline, PipelineSet>();

  /** Builds the pool's own, so that bad options are refused at once. */
  constructor(options: ResolvedPgOptions, key: string) {
    this.#options = options;
    this.#key = key;
    this.#own = this.#setOf(this.#create(key));
    this.#others = keyed((other) => this.#create(other), {
      maxKeys: pgDefaults.maxKeys,
      clock: options.clock,
    });
  }

  /** The pipelines of a key; of the pool's own if there is none. */
  of(key: string | undefined): PipelineSet {
    if (key === undefined || key === this.#key) return this.#own;
    return this.#setOf(this.#others.for(key));
  }

  #create(key: string): Pipeline {
    const { name, clock, pipeline: custom, standard: parts } = this.#options;
    const judge = parts.classify ?? classify;
    if (custom === undefined) return standard({ ...parts, key, classify: judge });
    return pipeline({ name, key, clock, classify: judge }, custom(key));
  }

  #setOf(whole: Pipeline): PipelineSet {
    let set = this.#sets.get(whole);
    if (set === undefined) {
      const limits = (layer: object): boolean => layer instanceof Timeout;
      set = {
        whole,
        connect: whole.narrow((layer) => !(layer instanceof Fallback)),
        held: whole.narrow((layer) => limits(layer) || 'enter' in layer),
        always: whole.narrow(limits),
      };
      this.#sets.set(whole, set);
    }
    return set;
  }
}

/** Runs an operation; one that was refused and must get through is run all the same. */
export function executeAlways<T>(
  set: PipelineSet,
  operation: (call: Call) => Promise<T>,
  options: CallOptions,
  isRefusal: (error: unknown) => boolean,
): Promise<T> {
  return set.held.execute(operation, options).catch((error) => {
    if (!isRefusal(error)) throw error;
    return set.always.execute(operation, options);
  });
}
