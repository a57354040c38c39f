/**
 * What is known of a service after a look at one of its modules: plain JSON, so that the module can be
 * loaded in a process of its own, and the rules be asked without one.
 */
import type { LayerDescription } from '@resil/core';

/** A service as one module shows it. */
export interface Inspection {
  /** Name of the service. */
  readonly service: string;
  /** The module's file. */
  readonly file: string;
  /** Names that the module exports. */
  readonly exports: readonly string[];
  /** Pipelines of the process after the module was loaded. */
  readonly pipelines: readonly InspectedPipeline[];
  /** Clients that can be reached through the module's exports. */
  readonly clients: readonly FoundClient[];
  /** Packages that the module and the files beneath it import. */
  readonly imports: readonly PackageImport[];
  /** What could not be looked at, as sentences. */
  readonly notes: readonly string[];
}

/** One pipeline, or one of keyed pipelines that stands for the others. */
export interface InspectedPipeline {
  /** Where it is, for people: its name, or the way to it through the exports. */
  readonly place: string;
  readonly name: string | null;
  readonly key: string | null;
  /** Whether it is one of many, made per key. */
  readonly keyed: boolean;
  /** The way to it through the exports; `null` if there is none. */
  readonly exportedAs: string | null;
  readonly dependency: InspectedDependency;
  /** Outermost first; nested pipelines and what brings another pattern along stand for their layers. */
  readonly layers: readonly LayerDescription[];
  /** Its guards by identity: two pipelines that share one have the same `id` in theirs. */
  readonly guards: readonly GuardIdentity[];
}

/** What a pipeline says that it stands before; `null` where it says nothing. */
export interface InspectedDependency {
  readonly client: string | null;
  readonly target: string | null;
  readonly critical: boolean | null;
  readonly innerAttempts: number | null;
  readonly restartDuration: number | null;
}

/** Which guard it is. */
export interface GuardIdentity {
  readonly id: number;
  readonly type: string;
  readonly name: string;
}

/** A client of a library that calls somebody else. */
export interface FoundClient {
  /** The package it is made by. */
  readonly library: string;
  /** The way to it through the exports: `clients.prices`. */
  readonly path: string;
  /** Whether an adapter of ours stands before it. */
  readonly protected: boolean;
  /** Where it sends to, if it tells. */
  readonly target: string | null;
  /** Attempts that it makes by itself; `null` if that can't be told. */
  readonly attempts: number | null;
  /** What repeats in it: `'axios-retry'`. */
  readonly repeatedBy: string | null;
}

/** A package, and the files that import it. */
export interface PackageImport {
  readonly name: string;
  readonly files: readonly string[];
}
