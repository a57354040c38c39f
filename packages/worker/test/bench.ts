/** What the tests have in common: pools on virtual time, and what their tasks share with them. */
import { setTimeout as delay } from 'node:timers/promises';
import { VirtualClock } from '@resil/testing';
import { afterEach, beforeEach } from 'vitest';
import { type WorkerPool, type WorkerPoolOptions, workerPool } from '../src/index.js';

/** A task of `tasks.mjs`. */
export interface TestTask {
  readonly kind: string;
  readonly [name: string]: unknown;
}
export type TestWork = (task: TestTask) => unknown;

export const TASKS: URL = new URL('./tasks.mjs', import.meta.url);

export let clock: VirtualClock;
let pools: WorkerPool<never>[] = [];

beforeEach(() => {
  clock = new VirtualClock();
});
// A test that left a task running would let it run on.
afterEach(async () => {
  await Promise.all(pools.map((pool) => pool.close({ deadline: 0 })));
  pools = [];
});

/** A pool that ends with the test. */
export function poolOf<Work extends (task: never) => unknown = TestWork>(
  options: WorkerPoolOptions = {},
  module: string | URL = TASKS,
): WorkerPool<Work> {
  const pool = workerPool<Work>(module, {
    clock,
    maxThreads: 1,
    ...options,
    // Threads run what is built: the condition that lets tests run sources is not for them.
    threadOptions: { execArgv: [], ...options.threadOptions },
  });
  pools.push(pool as unknown as WorkerPool<never>);
  return pool;
}

/** Numbers that threads and tests see alike. */
export function shared(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(8));
}

/** Waits until `condition` holds, for as long as the test may take. */
export async function until(condition: () => boolean): Promise<void> {
  // Threads need the processor more than this one does.
  while (!condition()) await delay(1);
}

/** A task that has begun, and ends when it is let go. */
export async function holding(
  pool: WorkerPool<TestWork>,
): Promise<{ readonly ended: Promise<unknown>; readonly letGo: () => void }> {
  const gate = shared();
  const ended = pool.run({ kind: 'hold', gate });
  await until(() => Atomics.load(gate, 0) === 1);
  return {
    ended,
    letGo: () => {
      Atomics.store(gate, 1, 1);
      Atomics.notify(gate, 1);
    },
  };
}
