/** Runs the files of the suite one after the other, and prints what became of each test. */

import { files, without } from 'suite:files';
import { type File, startTests, type Task, type VitestRunner } from '@vitest/runner';
import { vi } from './vitest.js';

const config: VitestRunner['config'] = {
  root: '/',
  setupFiles: [],
  name: undefined,
  passWithNoTests: false,
  testNamePattern: undefined,
  allowOnly: false,
  sequence: { seed: 1, hooks: 'stack', setupFiles: 'list' },
  chaiConfig: undefined,
  maxConcurrency: 1,
  testTimeout: 120_000,
  hookTimeout: 120_000,
  retry: 0,
  includeTaskLocation: false,
  tags: [],
  tagsFilter: undefined,
  strictTags: false,
};

const runner: VitestRunner = {
  config,
  importFile: (path) => (files[path] as () => Promise<unknown>)(),
  onCollected: (collected) => {
    for (const file of collected) leaveOut(file);
  },
  onBeforeTryTask: () => {
    vi.restoreAllMocks();
  },
};

function leaveOut(task: Task): void {
  if (task.type === 'suite') for (const part of task.tasks) leaveOut(part);
  else if (without.some((part) => task.fullName.includes(part))) task.mode = 'skip';
}

/** How many tests passed, failed and were skipped. */
export interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/** Runs all files; `print` gets a line for each file and each failure, and last the totals as JSON. */
export async function runSuite(print: (line: string) => void): Promise<Totals> {
  const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
  for (const path of Object.keys(files)) {
    const before = totals.passed + totals.failed;
    const [file] = (await startTests([{ filepath: path }], runner)) as [File];
    if (file.result?.state === 'fail' && file.tasks.length === 0) fail(file);
    count(file.tasks);
    print(`file ${path}: ${totals.passed + totals.failed - before} tests`);
  }
  print(`totals ${JSON.stringify(totals)}`);
  return totals;

  function count(tasks: readonly Task[]): void {
    for (const task of tasks) {
      if (task.type === 'suite') {
        if (task.result?.errors?.length) fail(task);
        count(task.tasks);
      } else if (task.result?.state === 'pass') totals.passed += 1;
      else if (task.mode === 'skip' || task.mode === 'todo') totals.skipped += 1;
      else fail(task);
    }
  }

  function fail(task: Task): void {
    totals.failed += 1;
    const error = task.result?.errors?.[0];
    print(`failed ${task.fullName}: ${error?.message ?? 'no result'}\n${error?.stack ?? ''}`);
  }
}
