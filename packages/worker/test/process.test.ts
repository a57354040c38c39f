/** A pool and its process: the main thread goes on, and nothing keeps it alive. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { poolOf } from './bench.js';

const run = promisify(execFile);
const package_ = fileURLToPath(new URL('..', import.meta.url));

/** Runs a script that finds the built package; a process that doesn't end is killed and fails. */
const script = (code: string) =>
  run(process.execPath, ['--input-type=module', '-e', code], { cwd: package_, timeout: 25_000 });

describe('the main thread', () => {
  it('goes on while the pool works', async () => {
    const task = { kind: 'spin', rounds: 30_000_000 };
    const pool = poolOf({ minThreads: 1 });
    const ticksDuring = async (work: () => unknown): Promise<number> => {
      let ticks = 0;
      let over = false;
      const tick = (): void => {
        if (over) return;
        ticks++;
        setImmediate(tick);
      };
      setImmediate(tick);
      await work();
      over = true;
      return ticks;
    };
    const { default: here } = await import('./tasks.mjs' as string);
    expect(await ticksDuring(() => here(task))).toBe(0);
    expect(await ticksDuring(() => pool.run(task))).toBeGreaterThan(10);
  });
});

describe('the process', () => {
  it('ends by itself with threads that have nothing to do', async () => {
    const { stdout } = await script(`
      import { workerPool } from '@resil/worker';
      const pool = workerPool(new URL('./test/tasks.mjs', ${JSON.stringify(`file://${package_}`)}), { minThreads: 2, maxThreads: 2 });
      const held = await pool.run({ kind: 'echo', value: 'answer' });
      console.log(held, pool.threads);
    `);
    expect(stdout).toBe('answer 2\n');
  });

  it('stays alive for a task that somebody awaits', async () => {
    const { stdout } = await script(`
      import { workerPool } from '@resil/worker';
      const pool = workerPool('data:text/javascript,export default (ms) => new Promise((end) => setTimeout(end, ms, "done"))', { maxThreads: 1, timeout: Infinity, queueTimeout: Infinity });
      console.log(...await Promise.all([pool.run(50), pool.run(50)]));
    `);
    expect(stdout).toBe('done done\n');
  });
});
