/**
 * `pnpm mutation [file …] [--keep | --sample ratio]`: changes the core one spot at a time, and prints how
 * many of the changes its tests notice. Reports that are still true are taken as they are, so that a run
 * which was stopped goes on where it was; `--keep` takes them also where only tests have changed.
 * `--sample 0.05` tries one mutant in twenty, of all files in one run: an estimate in minutes.
 * Exit code 1 if less than `threshold` % were noticed.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  fingerprintOf,
  folder,
  isCurrent,
  mark,
  percentOf,
  reportPath,
  type Score,
  scoreOf,
  scoresOf,
  sumOf,
  tableOf,
  writePage,
} from './results.js';
import { core, mutatedFiles, testsOf } from './sources.js';

/** What stands for all files where a sample is taken. */
const SAMPLE = 'sample';

/** The least share of mutants that the tests must notice, in %. */
const threshold = 90;

const here = path.dirname(fileURLToPath(import.meta.url));
const program = path.join(
  path.dirname(createRequire(import.meta.url).resolve('@stryker-mutator/core/package.json')),
  'bin/stryker.js',
);

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  options: { keep: { type: 'boolean', default: false }, sample: { type: 'string' } },
  allowPositionals: true,
});
const { keep } = values;
const sampleRatio = values.sample === undefined ? undefined : Number(values.sample);
if (sampleRatio !== undefined && !(sampleRatio > 0 && sampleRatio <= 1)) {
  console.error(`--sample must be above 0 and at most 1, but is ${values.sample}`);
  process.exit(2);
}
const named = positionals.map((argument) => `${path.basename(argument, '.ts')}.ts`);
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
let scores: Score[];
if (sampleRatio === undefined) {
  for (const file of files) {
    const current = isCurrent(file, testsOf(file), keep);
    if (current || mutate(file)) console.log(lineOf(scoreOf(file)));
    else failed.push(file);
  }
  const done = files.filter((file) => !failed.includes(file));
  scores = done.map(scoreOf);
  console.log(tableOf(scores));
  console.log(`each mutant and what became of it: ${writePage(done)}`);
} else {
  const done = sample(files, sampleRatio);
  if (!done) failed.push(SAMPLE);
  scores = done ? scoresOf(SAMPLE, sampleRatio) : [];
  console.log(tableOf(scores));
  console.log(`each mutant and what became of it: ${done ? writePage([SAMPLE]) : 'not known'}`);
}
for (const file of failed) console.error(`${file}: Stryker gave no report, see ${logPath(file)}`);
const percent = percentOf(sumOf(scores));
if (percent < threshold) console.error(`${percent.toFixed(1)} % is below ${threshold} %`);
process.exitCode = failed.length > 0 || percent < threshold ? 1 : 0;

/** Whether there is a report of the file now. */
function mutate(file: string): boolean {
  const suite = testsOf(file);
  const marks = [fingerprintOf(file, suite, false), fingerprintOf(file, suite, true)];
  const done = stryker(file, { suite, mutate: [`src/${file}`] });
  if (done) mark(file, marks);
  return done;
}

/** Whether there is a report of some mutants of all files now. */
function sample(all: readonly string[], ratio: number): boolean {
  const suite = [...new Set(all.flatMap(testsOf))];
  return stryker(SAMPLE, { suite, mutate: all.map((file) => `src/${file}`), sampleRatio: ratio });
}

/** Whether Stryker came to an end. */
function stryker(name: string, own: Readonly<Record<string, unknown>>): boolean {
  const config = path.join(folder, `${name}.config.json`);
  fs.writeFileSync(
    config,
    JSON.stringify({
      ...own,
      testRunner: 'core',
      plugins: [path.join(here, 'runner.js')],
      coverageAnalysis: 'perTest',
      concurrency: 1,
      // The runner itself ends what runs without end, by its processor time: the load of the machine
      // must not count as a mutant that was noticed.
      timeoutMS: 3_600_000,
      dryRunTimeoutMinutes: 60,
      checkers: [],
      reporters: ['json'],
      jsonReporter: { fileName: reportPath(name) },
      tempDirName: path.join(folder, 'sandboxes'),
      ignorePatterns: ['dist', '.tsbuild', '.vitest', '*.md'],
      tsconfigFile: 'none.json',
      allowConsoleColors: false,
      warnings: { unknownOptions: false },
    }),
  );
  const log = fs.openSync(logPath(name), 'w');
  const { status } = spawnSync(process.execPath, [program, 'run', config], {
    cwd: core,
    stdio: ['ignore', log, log],
  });
  fs.closeSync(log);
  return status === 0;
}

function lineOf(score: Score): string {
  const { name, survived, uncovered } = score;
  return `${name}: ${percentOf(score).toFixed(1)} % (${survived + uncovered} survive)`;
}

function logPath(file: string): string {
  return path.join(folder, `${file}.log`);
}
