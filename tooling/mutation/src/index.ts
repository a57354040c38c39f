/**
 * `pnpm mutation [file …] [--keep]`: changes the core one spot at a time, and prints how many of the
 * changes its tests notice. Reports that are still true are taken as they are, so that a run which
 * was stopped goes on where it was; `--keep` takes them also where only tests have changed.
 * Exit code 1 if less than `threshold` % were noticed.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import {
  fingerprintOf,
  folder,
  isCurrent,
  mark,
  percentOf,
  reportPath,
  scoreOf,
  sumOf,
  tableOf,
  writePage,
} from './results.js';
import { core, mutatedFiles, testsOf } from './sources.js';

/** The least share of mutants that the tests must notice, in %. */
const threshold = 90;

const here = path.dirname(fileURLToPath(import.meta.url));
const stryker = path.join(
  path.dirname(createRequire(import.meta.url).resolve('@stryker-mutator/core/package.json')),
  'bin/stryker.js',
);

const keep = process.argv.includes('--keep');
const named = process.argv
  .slice(2)
  .filter((argument) => !argument.startsWith('--'))
  .map((argument) => `${path.basename(argument, '.ts')}.ts`);
const unknown = named.filter((file) => !mutatedFiles().includes(file));
if (unknown.length > 0) {
  console.error(`nothing to mutate in ${unknown.join(', ')}`);
  process.exit(2);
}

// It takes long, and nobody waits for it.
os.setPriority(19);
fs.mkdirSync(folder, { recursive: true });
const files = named.length > 0 ? named : mutatedFiles();
const failed: string[] = [];
for (const file of files) {
  if (!isCurrent(file, testsOf(file), keep) && !mutate(file)) {
    failed.push(file);
    continue;
  }
  const score = scoreOf(file);
  console.log(
    `${file}: ${percentOf(score).toFixed(1)} % (${score.survived + score.uncovered} survive)`,
  );
}

const done = files.filter((file) => !failed.includes(file));
const scores = done.map(scoreOf);
console.log(tableOf(scores));
console.log(`each mutant and what became of it: ${writePage(done)}`);
for (const file of failed) console.error(`${file}: Stryker gave no report, see ${logPath(file)}`);
const percent = percentOf(sumOf(scores));
if (percent < threshold) console.error(`${percent.toFixed(1)} % is below ${threshold} %`);
process.exitCode = failed.length > 0 || percent < threshold ? 1 : 0;

/** Whether there is a report now. */
function mutate(file: string): boolean {
  const suite = testsOf(file);
  const marks = [fingerprintOf(file, suite, false), fingerprintOf(file, suite, true)];
  const config = path.join(folder, `${file}.config.json`);
  fs.writeFileSync(
    config,
    JSON.stringify({
      testRunner: 'core',
      plugins: [path.join(here, 'runner.js')],
      suite,
      mutate: [`src/${file}`],
      coverageAnalysis: 'perTest',
      concurrency: 1,
      // The runner itself ends what runs without end, by its processor time: the load of the machine
      // must not count as a mutant that was noticed.
      timeoutMS: 3_600_000,
      dryRunTimeoutMinutes: 60,
      checkers: [],
      reporters: ['json'],
      jsonReporter: { fileName: reportPath(file) },
      tempDirName: path.join(folder, 'sandboxes'),
      ignorePatterns: ['dist', '.tsbuild', '.vitest', '*.md'],
      tsconfigFile: 'none.json',
      allowConsoleColors: false,
      warnings: { unknownOptions: false },
    }),
  );
  const log = fs.openSync(logPath(file), 'w');
  const { status } = spawnSync(process.execPath, [stryker, 'run', config], {
    cwd: core,
    stdio: ['ignore', log, log],
  });
  fs.closeSync(log);
  if (status === 0) mark(file, marks);
  return status === 0;
}

function logPath(file: string): string {
  return path.join(folder, `${file}.log`);
}
