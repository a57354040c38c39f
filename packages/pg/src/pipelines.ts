/**
 * The pipelines of a pool, one set per key. Several ways through the same breaker and limits:
 *
 * - `whole`: a query by itself, with everything the pipeline has.
 * - `connect`: getting a client; no fallback, whose rows would be taken for a client.
 * - `start`: getting a client for a transaction, which is repeated as a whole.
 * - `held`: a statement in an open transaction; only what admits and limits, nothing that repeats or
 *   replaces a part of a whole, and only where the transaction is.
 */
import {
  type Call,
  type CallOptions,
  Failover,
  Fallback,
  failover,
  Hedge,
  InvalidOptionError,
  type Keyed,
  keyed,
  Pipeline,
  pipeline,
  standard,
  Timeout,
} from '@resil/core';
import { classify } from './classify.js';
import { pgDefaults, type ResolvedPgOptions } from './options.js';
import type { PgServer } from './server.js';
import type { Servers } from './servers.js';

/** The ways through one key's pipeline. */
export interface PipelineSet {
  readonly whole: Pipeline;
  readonly connect: Pipeline;
  readonly start: Pipeline;
  /** `whole`, for a statement by itself on a client that somebody holds. */
  alone(server: PgServer): Pipeline;
  held(server: PgServer): Pipeline;
  /** For what must get through however things stand: a COMMIT or ROLLBACK that was refused. */
  always(server: PgServer): Pipeline;
}

/** Gives the pipelines of a key. */
export class Pipelines {
  readonly #options: ResolvedPgOptions;
  readonly #key: string;
  readonly #servers: Servers;
  readonly #own: PipelineSet;
  readonly #others: Keyed;
  readonly #sets = new WeakMap<Pipeline, PipelineSet>();

  /** Builds the pool's own, so that bad options are refused at once. */
  constructor(options: ResolvedPgOptions, key: string, servers: Servers) {
    this.#options = options;
    this.#key = key;
    this.#servers = servers;
    this.#own = this.#setOf(this.#create(key));
    this.#others = keyed((other) => this.#create(other), {
      name: options.name,
      dependency: options.standard.dependency,
      maxKeys: pgDefaults.maxKeys,
      clock: options.clock,
    });
  }

  /** The pipelines of a key; of the pool's own if there is none. */
  of(key: string | undefined): PipelineSet {
    if (key === undefined || key === this.#key) return this.#own;
    return this.#setOf(this.#others.for(key));
  }

  /** Ends what the pipelines do beside calls. */
  close(): void {
    this.#own.whole.close();
    this.#others.close();
  }

  #create(key: string): Pipeline {
    const { name, clock, pipeline: custom, standard: parts } = this.#options;
    const judge = parts.classify ?? classify;
    const several = this.#servers.failover;
    if (custom === undefined) {
      return standard({ ...parts, key, classify: judge, failover: several ?? false });
    }
    const own = several === undefined ? [] : [failover({ name, clock, ...several })];
    const { dependency } = parts;
    const given = custom(key);
    refuseHedge(given);
    return pipeline({ name, key, clock, classify: judge, dependency }, given, ...own);
  }

  #setOf(whole: Pipeline): PipelineSet {
    let set = this.#sets.get(whole);
    if (set === undefined) {
      const limits = (layer: object): boolean => layer instanceof Timeout;
      const admits = (layer: object): boolean => limits(layer) || 'enter' in layer;
      set = {
        whole,
        connect: whole.narrow((layer) => !(layer instanceof Fallback)),
        start: whole.narrow((layer) => admits(layer) || layer instanceof Failover),
        alone: perServer(({ name }) =>
          whole.narrow((layer) => (layer instanceof Failover ? layer.pinned(name) : true)),
        ),
        held: perServer(({ name }) =>
          whole.narrow((layer) => (layer instanceof Failover ? layer.pinned(name) : admits(layer))),
        ),
        always: perServer(({ name }) =>
          whole.narrow((layer) =>
            layer instanceof Failover ? layer.pinned(name, limits) : limits(layer),
          ),
        ),
      };
      this.#sets.set(whole, set);
    }
    return set;
  }
}

/** What a call knows of where its query is, it knows of one attempt at a time. */
function refuseHedge(given: Pipeline): void {
  if (!(given instanceof Pipeline)) return;
  given.narrow((layer) => {
    if (layer instanceof Hedge) {
      throw new InvalidOptionError(
        `resilient.pipeline: layer '${layer.name}'`,
        layer,
        'must be left out: a query does not run on two connections at once',
      );
    }
    return true;
  });
}

/** Makes the pipeline of a server when it is first asked for. */
function perServer(make: (server: PgServer) => Pipeline): (server: PgServer) => Pipeline {
  const made = new Map<PgServer, Pipeline>();
  return (server) => {
    let own = made.get(server);
    if (own === undefined) {
      own = make(server);
      made.set(server, own);
    }
    return own;
  };
}

/** Runs an operation; one that was refused and must get through is run all the same. */
export function executeAlways<T>(
  set: PipelineSet,
  server: PgServer,
  operation: (call: Call) => Promise<T>,
  options: CallOptions,
  isRefusal: (error: unknown) => boolean,
): Promise<T> {
  return set
    .held(server)
    .execute(operation, options)
    .catch((error) => {
      if (!isRefusal(error)) throw error;
      return set.always(server).execute(operation, options);
    });
}
