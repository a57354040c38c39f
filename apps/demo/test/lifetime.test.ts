import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const main = fileURLToPath(new URL('../dist/index.js', import.meta.url));

/** Starts the demo and waits until its servers and the order service run. */
async function started(): Promise<{ demo: ChildProcess; exit: Promise<unknown[]> }> {
  const demo = spawn(process.execPath, [main, '--short'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, CI: 'true' },
  });
  const exit = once(demo, 'exit');
  let output = '';
  for await (const chunk of demo.stdout ?? []) {
    output += chunk;
    // The first phase is over.
    if (output.includes('calm  ')) break;
  }
  return { demo, exit };
}

/** The processes that descend from one, by their ids. */
async function descendants(ancestor: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=']);
  const pairs = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  const found = [ancestor];
  for (const parent of found)
    found.push(...pairs.filter(([, ppid]) => ppid === parent).map(([pid]) => pid));
  return found.slice(1);
}

/** Waits until none of the processes is left. */
async function gone(pids: readonly number[]): Promise<void> {
  const alive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  while (pids.some(alive)) await sleep(50);
}

it.each([
  ['SIGINT', 130],
  ['SIGKILL', null],
] as const)(
  'leaves no process behind after %s',
  async (signal, code) => {
    const { demo, exit } = await started();
    const pids = await descendants(demo.pid ?? 0);
    // The price service, the order service, PostgreSQL with some of its own, and its watchdog.
    expect(pids.length).toBeGreaterThanOrEqual(5);
    demo.kill(signal);
    expect((await exit)[0]).toBe(code);
    await gone(pids);
  },
  120_000,
);
