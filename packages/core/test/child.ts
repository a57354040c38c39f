import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';

/** A process that does not end by itself within this is taken to hang, in ms. */
const HANG = 60_000;

/** How a child process ended, and what it wrote. */
export interface ChildEnd {
  readonly code: number | null;
  /** What it was killed with: it did not end by itself. */
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

/**
 * Runs `code` as a module in a process of its own, of the runtime that runs the test. `core` is the
 * built package there, as a user imports it; with `exposeGc` there is a global `gc`.
 */
export async function runChild(
  code: string,
  { exposeGc = false }: { exposeGc?: boolean } = {},
): Promise<ChildEnd> {
  const core = new URL('../dist/index.js', import.meta.url).href;
  const folder = await mkdtemp(path.join(tmpdir(), 'resil-child-'));
  try {
    const file = path.join(folder, 'child.mjs');
    await writeFile(file, `import * as core from '${core}';\n${code}`);
    return await ending([...runArguments(exposeGc), file]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function runArguments(exposeGc: boolean): string[] {
  if ('deno' in process.versions) {
    return ['run', '--allow-all', ...(exposeGc ? ['--v8-flags=--expose-gc'] : [])];
  }
  return exposeGc ? ['--expose-gc'] : [];
}

function ending(args: readonly string[]): Promise<ChildEnd> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const killer = setTimeout(() => child.kill('SIGKILL'), HANG);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode, signal) => {
      clearTimeout(killer);
      resolve({ code: exitCode, signal, output: output.trim() });
    });
  });
}
