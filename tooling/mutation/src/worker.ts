/**
 * Runs tests of the script in a thread of its own. Each run evaluates the script anew, so that no
 * state of a module outlives a mutant. A test that waits for what never comes leaves this thread
 * without work, and the thread ends: hanging is seen at once, however slow the machine.
 */
import { createRequire } from 'node:module';
import process from 'node:process';
import vm from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import type { File, startTests, Task, Test, VitestRunner } from '@vitest/runner';
import type { Run, RunEnd, TestEnd } from './protocol.js';

/** What the script exports. */
interface Suite {
  readonly startTests: typeof startTests;
  readonly vi: {
    restoreAllMocks(): void;
    useRealTimers(): void;
    unstubAllGlobals(): void;
  };
  readonly files: Readonly<Record<string, () => Promise<unknown>>>;
}

/** What instrumented code and a test runner share. */
interface Instrumentation {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
  mutantCoverage?: RunEnd['coverage'] | undefined;
}

/**
 * Time limit of a test, in ms: only for one that waits and keeps the thread alive by a timer of its own.
 * Generous, since a busy machine must not fail a test.
 */
const testTimeout = 300_000;

const script = new vm.Script(
  `(function (exports, require, module) {${(workerData as { script: string }).script}\n})`,
  { filename: 'suite.cjs' },
);
const port = parentPort as NonNullable<typeof parentPort>;
const shared: Instrumentation = {};
Object.assign(globalThis, { __stryker__: shared });
let errors: string[] = [];
process.on('uncaughtException', (error) => errors.push(messageOf(error)));
process.on('unhandledRejection', (error) => errors.push(messageOf(error)));

// What a test waits for may be a timer that is not to keep a process alive: here it does. The time limit of
// the test itself must not.
const { setTimeout: schedule } = globalThis;
Object.assign(globalThis, {
  setTimeout: (...args: Parameters<typeof schedule>) => {
    const timer = schedule(...args);
    if ((args[1] ?? 0) < testTimeout) timer.unref = () => timer;
    return timer;
  },
});

port.on('message', (run: Run) => {
  // From here on only the tests themselves keep the thread alive.
  port.unref();
  void answer(run);
});

async function answer(run: Run): Promise<void> {
  const end = await runTests(run);
  port.ref();
  port.postMessage(end);
}

async function runTests(run: Run): Promise<RunEnd> {
  errors = [];
  shared.activeMutant = run.mutant;
  shared.hitCount = run.mutant === undefined ? undefined : 0;
  shared.hitLimit = run.hitLimit;
  shared.mutantCoverage = undefined;
  const ends: TestEnd[] = [];
  const wanted = run.tests && new Set(run.tests);
  try {
    const suite = evaluate();
    let failed = false;
    const runner = runnerOf(suite, wanted, run.bail);
    for (const path of Object.keys(suite.files)) {
      if (failed && run.bail) break;
      if (wanted && !run.tests?.some((id) => id.startsWith(`${path}#`))) continue;
      const [file] = (await suite.startTests([{ filepath: path }], runner)) as [File];
      for (const error of file.result?.errors ?? []) errors.push(`${path}: ${error.message}`);
      for (const end of endsOf(file.tasks, path)) {
        ends.push(end);
        failed ||= end.failure !== undefined;
      }
      failed ||= errors.length > 0;
    }
    await settle();
    suite.vi.restoreAllMocks();
    suite.vi.useRealTimers();
    suite.vi.unstubAllGlobals();
  } catch (error) {
    errors.push(messageOf(error));
  }
  const { hitCount = 0, mutantCoverage } = shared;
  return {
    tests: ends,
    errors,
    hits: hitCount,
    ...(mutantCoverage ? { coverage: mutantCoverage } : {}),
  };
}

function evaluate(): Suite {
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(import.meta.url), module);
  return module.exports as Suite;
}

function runnerOf(
  { vi, files }: Suite,
  wanted: ReadonlySet<string> | undefined,
  bail: boolean,
): VitestRunner {
  let failed = false;
  return {
    config: {
      root: '/',
      setupFiles: [],
      name: undefined,
      passWithNoTests: false,
      testNamePattern: undefined,
      allowOnly: false,
      sequence: { seed: 1, hooks: 'stack', setupFiles: 'list' },
      chaiConfig: undefined,
      maxConcurrency: 1,
      testTimeout,
      hookTimeout: testTimeout,
      retry: 0,
      includeTaskLocation: false,
      tags: [],
      tagsFilter: undefined,
      strictTags: false,
    },
    importFile: (path) => (files[path] as () => Promise<unknown>)(),
    onCollected: (collected) => {
      failed = false;
      for (const file of collected) if (wanted) leaveOut(file, file.filepath, wanted);
    },
    onBeforeRunTask: (test) => {
      if (bail && failed) test.mode = 'skip';
    },
    onBeforeTryTask: (test) => {
      vi.restoreAllMocks();
      shared.currentTestId = idOf(test);
    },
    onAfterRunTask: (test) => {
      shared.currentTestId = undefined;
      failed ||= test.result?.state === 'fail';
    },
  };
}

function leaveOut(task: Task, path: string, wanted: ReadonlySet<string>): void {
  if (task.type === 'suite') for (const part of task.tasks) leaveOut(part, path, wanted);
  else if (!wanted.has(idOf(task))) task.mode = 'skip';
}

function* endsOf(tasks: readonly Task[], path: string): Generator<TestEnd> {
  for (const task of tasks) {
    if (task.type === 'suite') {
      for (const error of task.result?.errors ?? []) errors.push(`${task.name}: ${error.message}`);
      yield* endsOf(task.tasks, path);
    } else if (task.mode !== 'skip' && task.mode !== 'todo') {
      const failure = task.result?.errors?.[0]?.message;
      const passed = task.result?.state === 'pass';
      yield {
        id: idOf(task),
        file: path,
        name: task.fullTestName,
        duration: task.result?.duration ?? 0,
        ...(passed ? {} : { failure: failure ?? 'no result' }),
      };
    }
  }
}

/** Tests of one name in one file are told apart by their place among all tests of the file. */
function idOf(test: Test): string {
  return `${test.file.filepath}#${test.id.slice(test.file.id.length + 1)} ${test.name}`;
}

/** Lets what the last test left behind fail while it is still known whose it is. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
