/** What Stryker reported for each file, kept between runs, and what it adds up to. */
import crypto from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import Table from 'cli-table3';
import { isInSample, type Spot } from './in-sample.js';
import { core } from './sources.js';

/** Where reports are kept; outside version control. */
export const folder: string = path.resolve(
  process.env.RESIL_MUTATION_REPORTS ?? path.join(core, '../../tooling/mutation/.mutation'),
);

interface Mutant extends Spot {
  readonly status: string;
}

/** A report in the format that all tools of the Stryker family share. */
interface Report {
  readonly files: Readonly<Record<string, { readonly mutants: readonly Mutant[] }>>;
  readonly testFiles?: Readonly<Record<string, unknown>>;
}

/** How the mutants of a file, or of all files, ended. */
export interface Score {
  readonly name: string;
  readonly killed: number;
  readonly hanging: number;
  readonly survived: number;
  readonly uncovered: number;
}

/** Share of the mutants that a test noticed, in %. */
export function percentOf({ killed, hanging, survived, uncovered }: Score): number {
  const detected = killed + hanging;
  const all = detected + survived + uncovered;
  return all === 0 ? 100 : (100 * detected) / all;
}

export function reportPath(file: string): string {
  return path.join(folder, `${path.basename(file, '.ts')}.json`);
}

/** Changes when the file or, unless `sourceOnly`, one of the tests changes. */
export function fingerprintOf(file: string, tests: readonly string[], sourceOnly: boolean): string {
  const hash = crypto.createHash('sha256');
  for (const name of [`src/${file}`, ...(sourceOnly ? [] : tests)]) {
    hash.update(fs.readFileSync(path.join(core, name)));
  }
  return hash.digest('hex');
}

/** Whether there is a report of the file as it is now. */
export function isCurrent(file: string, tests: readonly string[], sourceOnly: boolean): boolean {
  try {
    const marks = JSON.parse(fs.readFileSync(`${reportPath(file)}.marks`, 'utf8')) as string[];
    return marks.includes(fingerprintOf(file, tests, sourceOnly));
  } catch {
    return false;
  }
}

/** Notes which state of the file and of the tests its report is of. */
export function mark(file: string, marks: readonly string[]): void {
  fs.writeFileSync(`${reportPath(file)}.marks`, JSON.stringify(marks));
}

/** Counts the report of one file. */
export function scoreOf(file: string): Score {
  return { ...sumOf(scoresOf(file)), name: file };
}

/** Counts a report, file by file. Mutants that are not in the sample count for nothing. */
export function scoresOf(report: string, sampleRatio = 1): Score[] {
  const { files } = JSON.parse(fs.readFileSync(reportPath(report), 'utf8')) as Report;
  return Object.entries(files).map(([name, { mutants }]) => {
    const chosen = mutants.filter((mutant) => isInSample(name, mutant, sampleRatio));
    // Which of the covered ones are in it was decided where they were run.
    const count = (wanted: string): number =>
      (wanted === 'NoCoverage' ? chosen : mutants).filter(({ status }) => status === wanted).length;
    return {
      name: path.basename(name),
      killed: count('Killed'),
      hanging: count('Timeout'),
      survived: count('Survived'),
      uncovered: count('NoCoverage'),
    };
  });
}

export function sumOf(scores: readonly Score[]): Score {
  const sum = (value: (score: Score) => number): number =>
    scores.reduce((total, score) => total + value(score), 0);
  return {
    name: 'all',
    killed: sum(({ killed }) => killed),
    hanging: sum(({ hanging }) => hanging),
    survived: sum(({ survived }) => survived),
    uncovered: sum(({ uncovered }) => uncovered),
  };
}

export function tableOf(scores: readonly Score[]): string {
  const table = new Table({
    head: ['file', 'score %', 'killed', 'hanging', 'survived', 'uncovered'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const score of [...scores, sumOf(scores)]) {
    const { name, killed, hanging, survived, uncovered } = score;
    table.push([name, percentOf(score).toFixed(1), killed, hanging, survived, uncovered]);
  }
  return table.toString();
}

/** Writes one page of all reports, and gives its path. */
export function writePage(files: readonly string[]): string {
  const reports = files.map((file) => JSON.parse(fs.readFileSync(reportPath(file), 'utf8')));
  const report = {
    ...reports[0],
    files: Object.assign({}, ...reports.map((each: Report) => each.files)),
  };
  // Tests have numbers of their own in each report.
  delete report.testFiles;
  const viewer = createRequire(import.meta.url).resolve(
    'mutation-testing-elements/dist/mutation-test-elements.js',
  );
  const target = path.join(folder, 'index.html');
  fs.writeFileSync(
    target,
    `<!DOCTYPE html><meta charset="utf-8"><title>Mutants of @resil/core</title>
<script>${fs.readFileSync(viewer, 'utf8')}</script>
<mutation-test-report-app></mutation-test-report-app>
<script>document.querySelector('mutation-test-report-app').report = ${JSON.stringify(report).replaceAll('<', '\\u003c')};</script>
`,
  );
  return target;
}
