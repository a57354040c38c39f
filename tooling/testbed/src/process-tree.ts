/**
 * Processes and their children. A PostgreSQL backend leaves its parent's process group (setsid), so
 * signalling the group doesn't reach it: the children have to be looked up.
 */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
}

/** The running children of a process. */
export async function childrenOf(parent: number): Promise<number[]> {
  const all = await processes();
  return all
    .filter((entry) => entry.parent === parent && entry.state !== 'Z')
    .map((entry) => entry.pid);
}

/** Sends a signal to each process; one that is gone already is skipped. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Waits until none of the processes runs any more; gives back those that still do after `patience` ms. */
export async function gone(pids: readonly number[], patience: number): Promise<number[]> {
  const step = 5;
  for (let waited = 0; ; waited += step) {
    const running = new Set((await processes()).filter((e) => e.state !== 'Z').map((e) => e.pid));
    const left = pids.filter((pid) => running.has(pid));
    if (left.length === 0 || waited >= patience) return left;
    await sleep(step);
  }
}

async function processes(): Promise<ProcessEntry[]> {
  if (process.platform !== 'linux') {
    const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=,stat=']);
    return stdout.split('\n').flatMap((line) => {
      const [pid, parent, state] = line.trim().split(/\s+/);
      return pid ? [{ pid: Number(pid), parent: Number(parent), state: state?.[0] ?? '' }] : [];
    });
  }
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const entries = await Promise.all(
    pids.map(async (pid) => {
      const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
      // "pid (name) state parent ...": the name may contain anything, parentheses too.
      const [state, parent] = line?.slice(line.lastIndexOf(')') + 2).split(' ') ?? [];
      return state === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), state }];
    }),
  );
  return entries.flat();
}
