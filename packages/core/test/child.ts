import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

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
 * Runs `code` as a module in a process of its own. `core` is the built package there, as a user
 * imports it.
 */
export function runChild(code: string, flags: readonly string[] = []): Promise<ChildEnd> {
  const core = new URL('../dist/index.js', import.meta.url).href;
  const child = spawn(
    process.execPath,
    [...flags, '--input-type=module', '--eval', `import * as core from '${core}';\n${code}`],
    { cwd: fileURLToPath(new URL('..', import.meta.url)), stdio: ['ignore', 'pipe', 'pipe'] },
  );
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
