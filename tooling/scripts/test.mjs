// `npm test`: everything that must hold before a change lands. Goes on after a failed step, so that
// one run shows all that is wrong; the last line is the total. `--force` ignores turbo's cache.

import { bootstrap, root } from './bootstrap.mjs';
import { Steps } from './steps.mjs';
import { closingLine, collectResults, removeResults, total } from './test-totals.mjs';

const steps = new Steps();
const extra = process.argv.slice(2);
const tool = await bootstrap(steps);
let rows = [];

if (tool !== undefined) {
  const quiet = ['--output-logs=errors-only', '--continue', ...extra];
  const turbo = (...args) => tool('turbo', ['run', ...args]);
  await steps.run('format and lint', () => turbo('lint', 'lint:root', ...quiet));
  await steps.run('build', () => turbo('build', ...quiet));
  await steps.run('types', () => turbo('typecheck', ...quiet));
  removeResults(root);
  // Two packages at a time: most tests wait for real servers and proxies, and more would starve them.
  const testFlags = ['--continue', '--concurrency=2', '--output-logs=full', ...extra];
  const passed = await steps.run('tests and gates', () => turbo('test', ...testFlags));
  rows = collectResults(root);
  // A failed run whose reports all look well must still count.
  if (!passed && total(rows).failed > 0) steps.failed.pop();
  console.log('\nTests');
  const width = Math.max(...rows.map((row) => row.folder.length));
  for (const row of rows) {
    const took = `${Math.round(row.duration / 1_000)} s`.padStart(6);
    console.log(`  ${row.folder.padEnd(width)} ${took}  ${closingLine(row)} ${row.note}`.trimEnd());
  }
}

const sum = total(rows);
sum.failed += steps.failed.length;
if (steps.failed.length > 0) console.log(`\nFailed steps: ${steps.failed.join(', ')}`);
console.log(`\nTook ${steps.elapsed}`);
console.log(closingLine(sum));
process.exitCode = sum.failed === 0 ? 0 : 1;
