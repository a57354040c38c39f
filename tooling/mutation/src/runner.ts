/** Stryker's test runner for the core: see `worker.ts` for how the tests are run. */
import process from 'node:process';
import type { StrykerOptions } from '@stryker-mutator/api/core';
import { commonTokens, declareClassPlugin, PluginKind, tokens } from '@stryker-mutator/api/plugin';
import {
  type DryRunResult,
  DryRunStatus,
  type MutantRunOptions,
  type MutantRunResult,
  MutantRunStatus,
  type TestRunner,
  type TestRunnerCapabilities,
  TestStatus,
} from '@stryker-mutator/api/test-runner';
import { bundle } from './bundle.js';
import { isInSample } from './in-sample.js';
import type { RunEnd } from './protocol.js';
import { Tests } from './tests.js';

/** Processor time that any run may take, in ms. */
const leastLimit = 2_000;

/** How many times as long as usual tests may keep the processor. */
const limitFactor = 3;

class CoreRunner implements TestRunner {
  static readonly inject = tokens(commonTokens.options);
  readonly #testFiles: readonly string[];
  readonly #sampleRatio: number;
  /** By test, how long it took without a mutant, in ms. */
  readonly #durations = new Map<string, number>();
  #tests = new Tests('');

  constructor(options: StrykerOptions) {
    this.#testFiles = options.suite as string[];
    this.#sampleRatio = (options.sampleRatio as number | undefined) ?? 1;
  }

  capabilities(): TestRunnerCapabilities {
    return { reloadEnvironment: true };
  }

  async init(): Promise<void> {
    this.#tests = new Tests(await bundle(process.cwd(), this.#testFiles));
  }

  async dryRun(): Promise<DryRunResult> {
    const end = await this.#tests.run({ bail: false }, Number.POSITIVE_INFINITY);
    if (end === undefined) {
      return { status: DryRunStatus.Error, errorMessage: 'a test waits for what never comes' };
    }
    if (end.errors.length > 0) {
      return { status: DryRunStatus.Error, errorMessage: end.errors.join('\n') };
    }
    for (const { id, duration } of end.tests) this.#durations.set(id, duration);
    return {
      status: DryRunStatus.Complete,
      tests: end.tests.map(({ id, name, file, duration, failure }) => ({
        id,
        name,
        fileName: file,
        timeSpentMs: duration,
        ...(failure === undefined
          ? { status: TestStatus.Success }
          : { status: TestStatus.Failed, failureMessage: failure }),
      })),
      ...(end.coverage ? { mutantCoverage: end.coverage } : {}),
    };
  }

  async mutantRun(options: MutantRunOptions): Promise<MutantRunResult> {
    const { activeMutant: mutant } = options;
    if (!isInSample(mutant.fileName, mutant, this.#sampleRatio)) {
      return { status: MutantRunStatus.Error, errorMessage: 'not in the sample' };
    }
    const { fresh } = this.#tests;
    const result = await this.#mutantRun(options);
    if (result.status !== MutantRunStatus.Killed || fresh) return result;
    // A mutant before this one may have left the thread's globals in a state that fails the test.
    const check = await this.#tests.run(
      { tests: result.killedBy, bail: true },
      this.#limitOf(result.killedBy),
    );
    if (check !== undefined && reasonOf(check) === undefined) return result;
    await this.#tests.end();
    return this.#mutantRun(options);
  }

  async #mutantRun(options: MutantRunOptions): Promise<MutantRunResult> {
    const { testFilter, hitLimit, activeMutant, disableBail } = options;
    const end = await this.#tests.run(
      {
        mutant: activeMutant.id,
        bail: !disableBail,
        ...(testFilter ? { tests: testFilter } : {}),
        ...(hitLimit === undefined ? {} : { hitLimit }),
      },
      this.#limitOf(testFilter),
    );
    if (end === undefined) {
      return { status: MutantRunStatus.Timeout, reason: 'it hangs, or runs without end' };
    }
    if (hitLimit !== undefined && end.hits > hitLimit) {
      await this.#tests.end();
      return { status: MutantRunStatus.Timeout, reason: `Hit limit reached (${end.hits})` };
    }
    const reason = reasonOf(end);
    if (reason === undefined) {
      return { status: MutantRunStatus.Survived, nrOfTests: end.tests.length };
    }
    const failed = end.tests.filter(({ failure }) => failure !== undefined);
    const blamed = failed.length > 0 ? failed : end.tests.slice(-1);
    return {
      status: MutantRunStatus.Killed,
      killedBy: blamed.map(({ id }) => id),
      failureMessage: reason,
      nrOfTests: end.tests.length,
    };
  }

  async dispose(): Promise<void> {
    await this.#tests.end();
  }

  /** How much processor time a run of tests may take, in ms; what it waits doesn't count. */
  #limitOf(tests: Iterable<string> = this.#durations.keys()): number {
    let usual = 0;
    for (const id of tests) usual += this.#durations.get(id) ?? 0;
    return leastLimit + limitFactor * usual;
  }
}

/** Why a run failed, if it did. */
function reasonOf({ tests, errors }: RunEnd): string | undefined {
  return tests.find(({ failure }) => failure !== undefined)?.failure ?? errors[0];
}

export const strykerPlugins: readonly unknown[] = [
  declareClassPlugin(PluginKind.TestRunner, 'core', CoreRunner),
];
