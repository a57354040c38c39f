/** What the test runner asks of the worker that runs tests, and what it answers. */

/** A run of tests in a fresh evaluation of the script. */
export interface Run {
  /** Ids of the tests to run; all of them if left out. */
  readonly tests?: readonly string[];
  /** Id of the mutant that is active from the first line of the script on. */
  readonly mutant?: string;
  /** How often the mutant may be reached before the run is taken for an endless loop. */
  readonly hitLimit?: number;
  /** Whether to end at the first test that fails. */
  readonly bail: boolean;
}

/** What became of one test. */
export interface TestEnd {
  readonly id: string;
  readonly file: string;
  readonly name: string;
  /** Why it failed. */
  readonly failure?: string;
  /** How long it took, in ms. */
  readonly duration: number;
}

/** What became of a run. */
export interface RunEnd {
  readonly tests: readonly TestEnd[];
  /** Errors that belong to no test: of an import, or that nobody handled. */
  readonly errors: readonly string[];
  /** How often the active mutant was reached. */
  readonly hits: number;
  /** By mutant, how often it was reached; filled where none is active. */
  readonly coverage?: {
    readonly static: Record<string, number>;
    readonly perTest: Record<string, Record<string, number>>;
  };
}
