// Adds up what vitest wrote: one `.vitest/results.json` per package that has a `test` script.

import fs from 'node:fs';
import path from 'node:path';

const groups = ['packages', 'apps', 'tooling'];
const results = '.vitest/results.json';

/** Folders of the workspace's packages that have a `test` script, relative to the root. */
export function testedFolders(root) {
  return groups
    .filter((group) => fs.existsSync(path.join(root, group)))
    .flatMap((group) => fs.readdirSync(path.join(root, group)).map((name) => `${group}/${name}`))
    .filter((folder) => {
      const manifest = path.join(root, folder, 'package.json');
      if (!fs.existsSync(manifest)) return false;
      return JSON.parse(fs.readFileSync(manifest, 'utf8')).scripts?.test !== undefined;
    })
    .sort();
}

/** Removes earlier results, so that a package whose run never ended isn't counted with old ones. */
export function removeResults(root) {
  for (const folder of testedFolders(root)) {
    fs.rmSync(path.join(root, folder, results), { force: true });
  }
}

/** Counts of one vitest report. A file that failed before its first test counts as one failure. */
export function countReport(report) {
  let failed = report.numFailedTests;
  for (const file of report.testResults) {
    const explained = file.assertionResults.some((test) => test.status === 'failed');
    if (file.status === 'failed' && !explained) failed += 1;
  }
  // An error outside any test (an unhandled rejection) fails the run and no test.
  if (!report.success && failed === 0) failed = 1;
  return {
    passed: report.numPassedTests,
    failed,
    skipped: report.numPendingTests + report.numTodoTests,
    duration: Math.max(0, ...report.testResults.map(({ endTime }) => endTime - report.startTime)),
  };
}

/** One row per package: its folder and its counts. No report means a run that never ended. */
export function collectResults(root) {
  return testedFolders(root).map((folder) => {
    const file = path.join(root, folder, results);
    if (!fs.existsSync(file)) {
      return { folder, passed: 0, failed: 1, skipped: 0, duration: 0, note: 'wrote no results' };
    }
    return { folder, ...countReport(JSON.parse(fs.readFileSync(file, 'utf8'))), note: '' };
  });
}

export function total(rows) {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const row of rows) {
    sum.passed += row.passed;
    sum.failed += row.failed;
    sum.skipped += row.skipped;
  }
  return sum;
}

/** The line that machines read, always the last one printed. */
export function closingLine({ passed, failed, skipped }) {
  const end = skipped > 0 ? `, ${skipped} skipped` : '';
  return `${passed} passed, ${failed} failed${end}`;
}
