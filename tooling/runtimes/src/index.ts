/**
 * `pnpm runtimes [name …]`: fetches the runtimes, runs the tests of the core in each of them, and
 * prints the totals. Exit code 1 if a test failed or a runtime did not come to an end.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import process from 'node:process';
import Table from 'cli-table3';
import { runSuite } from './run-suite.js';
import { binaries, programOf, runtimes } from './runtimes.js';

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !runtimes.some((runtime) => runtime.name === name));
if (unknown.length > 0) {
  console.error(
    `no runtime '${unknown.join("', '")}'; there are ${runtimes.map(({ name }) => name).join(', ')}`,
  );
  process.exit(2);
}

console.log('fetching the runtimes …');
const fetched = spawnSync('pnpm', ['--dir', binaries, 'install', '--frozen-lockfile'], {
  encoding: 'utf8',
});
if (fetched.status !== 0) {
  console.error(`${fetched.stdout}${fetched.stderr}the runtimes could not be fetched`);
  process.exit(1);
}

const table = new Table({
  head: ['runtime', 'version', 'passed', 'failed', 'left out'],
  style: { head: [], border: [] },
});
let failed = false;
for (const runtime of runtimes) {
  if (wanted.length > 0 && !wanted.includes(runtime.name)) continue;
  const program = programOf(runtime);
  if (!fs.existsSync(program)) {
    console.error(`${runtime.name}: there is no program for ${process.platform} ${process.arch}`);
    failed = true;
    continue;
  }
  const version = spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout;
  const totals = await runSuite(runtime, program, (line) =>
    console.log(`${runtime.name}: ${line}`),
  );
  failed ||= totals === undefined || totals.failed > 0;
  table.push([
    runtime.name,
    /\d[\d.-]+\d/.exec(version)?.[0] ?? version.trim(),
    ...(totals === undefined
      ? ['–', 'did not end', '–']
      : [totals.passed, totals.failed, totals.skipped]),
  ]);
  for (const [tests, why] of Object.entries(runtime.without)) {
    console.log(`${runtime.name}: left out "${tests} …": ${why}`);
  }
}
console.log(table.toString());
process.exitCode = failed ? 1 : 0;
