/**
 * `pnpm bench`: measures the library beside its peers, all on the Node that comes with the
 * dependencies (the peers need a newer one than the library does), and prints Markdown.
 *
 *   pnpm bench                      everything
 *   pnpm bench -- --only core       the patterns; `adapters` for the rest, or the name of a part
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { adapterParts, coreParts, parts } from './part.js';
import type { PartMessage } from './part-main.js';
import { markdownOf, type PartReport } from './report.js';

const groups: Readonly<Record<string, readonly string[]>> = {
  all: Object.keys(parts),
  core: Object.keys(coreParts),
  adapters: Object.keys(adapterParts),
};

const { values } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== '--'),
  options: { only: { type: 'string', default: 'all' } },
});
const chosen = groups[values.only] ?? [values.only];
for (const name of chosen) {
  if (parts[name] === undefined) {
    const known = [...Object.keys(groups), ...Object.keys(parts)].join(', ');
    throw new Error(`--only ${name}: must be one of ${known}`);
  }
}

const node = join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin/node');
const startedAt = performance.now();
const reports: PartReport[] = [];
for (const name of chosen) reports.push(await run(name));
console.log(`\n${markdownOf(reports)}\n`);
console.log(await machine());

/** Runs a part in a process of its own. */
async function run(name: string): Promise<PartReport> {
  say(name, 'starts');
  const child = fork(fileURLToPath(new URL('part-main.js', import.meta.url)), [name], {
    execPath: node,
    execArgv: ['--expose-gc', '--no-warnings'],
    stdio: 'inherit',
  });
  let report: PartReport | undefined;
  child.on('message', (message: PartMessage) => {
    if ('report' in message) report = message.report;
    else say(name, message.progress);
  });
  const [code] = await once(child, 'exit');
  if (report === undefined) throw new Error(`part '${name}' ended with ${code} and no report`);
  return report;
}

function say(name: string, progress: string): void {
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0).padStart(4);
  process.stderr.write(`${seconds} s  ${name}: ${progress}\n`);
}

async function machine(): Promise<string> {
  const processors = cpus();
  const version = await versionOf();
  return `Node ${version}, ${process.platform} ${process.arch}, ${processors.length} × ${processors[0]?.model.trim()}; CPU time per call, median of interleaved rounds.`;
}

async function versionOf(): Promise<string> {
  const { promisify } = await import('node:util');
  const { execFile } = await import('node:child_process');
  const { stdout } = await promisify(execFile)(node, ['--version']);
  return stdout.trim();
}
