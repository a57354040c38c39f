/** Runs the tests of the core in one runtime. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { bundle } from './bundle.js';
import type { Runtime } from './runtimes.js';

/** A runtime that says nothing for so long is taken to hang, in ms. */
const SILENCE = 300_000;

const workerdConfig = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "suite", worker = .suite)]);
const suite :Workerd.Worker = (
  modules = [(name = "suite", esModule = embed "suite.mjs")],
  compatibilityDate = "2026-11-01",
);
`;

/** How many tests passed, failed and were left out. */
export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Runs the suite in a runtime; `print` gets a line for each file and each failure. Gives nothing if
 * the suite did not come to its end.
 */
export async function runSuite(
  runtime: Runtime,
  program: string,
  print: (line: string) => void,
): Promise<Totals | undefined> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'resil-runtimes-'));
  try {
    const file = path.join(folder, 'suite.mjs');
    await bundle(runtime, file);
    fs.writeFileSync(path.join(folder, 'workerd.capnp'), workerdConfig);
    return await totalsOf(runtime, program, file, print);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

function totalsOf(
  runtime: Runtime,
  program: string,
  file: string,
  print: (line: string) => void,
): Promise<Totals | undefined> {
  const child = spawn(program, runtime.args(file), { stdio: ['ignore', 'pipe', 'inherit'] });
  const watch = setTimeout(() => child.kill('SIGKILL'), SILENCE);
  let totals: Totals | undefined;
  createInterface({ input: child.stdout }).on('line', (line) => {
    watch.refresh();
    if (line.startsWith('totals ')) totals = JSON.parse(line.slice('totals '.length));
    else print(line);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(watch);
      resolve(totals);
    });
  });
}
