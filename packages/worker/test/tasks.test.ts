/** What goes into a thread and what comes out of it. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from 'vitest';
import { WorkerCrashedError } from '../src/index.js';
import { poolOf, shared, until } from './bench.js';

describe('a task', () => {
  it('runs in a thread, and gets back what that gives', async () => {
    const pool = poolOf();
    const where = await pool.run({ kind: 'where' });
    expect(where).toMatchObject({ isMainThread: false });
    expect(await pool.run({ kind: 'echo', value: new Map([['a', 1n]]) })).toEqual(
      new Map([['a', 1n]]),
    );
    // The same thread, kept for the next task.
    expect(await pool.run({ kind: 'where' })).toEqual(where);
    expect(pool.describe().counters).toMatchObject({ threadsStarted: 1 });
  });

  it('runs the function that is named', async () => {
    const pool = poolOf<(value: number) => Promise<number>>({ exportName: 'double' });
    const doubled: number = await pool.run(21);
    expect(doubled).toBe(42);
  });

  it('runs a function of a CommonJS module', async () => {
    const module = new URL('./common.cjs', import.meta.url);
    expect(await poolOf<(task: string) => string>({}, module).run('sense')).toBe('common sense');
  });

  it('finds what its thread was given', async () => {
    const pool = poolOf({ threadOptions: { workerData: { region: 'eu' } } });
    expect(await pool.run({ kind: 'workerData' })).toEqual({ region: 'eu' });
  });

  it('hands buffers over in both directions where it is told to', async () => {
    const pool = poolOf();
    const bytes = new Uint8Array(1_000);
    expect(await pool.run({ kind: 'size', bytes })).toBe(1_000);
    expect(bytes.byteLength).toBe(1_000);
    expect(await pool.run({ kind: 'size', bytes }, { transfer: [bytes.buffer] })).toBe(1_000);
    expect(bytes.byteLength).toBe(0);

    expect(await pool.run({ kind: 'make', length: 3 })).toEqual(new Uint8Array([7, 7, 7]));
    expect(await pool.run({ kind: 'leftOfLast' })).toBe(0);
  });

  it('goes on in the async context of its caller', async () => {
    const pool = poolOf();
    const user = new AsyncLocalStorage<string>();
    const asked = ['ann', 'bob', 'cy'].map((name) =>
      user.run(name, async () => {
        await pool.run({ kind: 'echo', value: name });
        return user.getStore();
      }),
    );
    expect(await Promise.all(asked)).toEqual(['ann', 'bob', 'cy']);
  });
});

describe('an error', () => {
  it('comes out with its name, its code and its plain fields', async () => {
    const pool = poolOf();
    const error = await pool.run({ kind: 'fail' }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'PriceError',
      message: 'no price',
      code: 'E_PRICE',
      status: 422,
    });
    expect((error as Error).stack).toContain('tasks.mjs');
    expect(error).not.toHaveProperty('inner');
  });

  it('may be anything, even nothing', async () => {
    const pool = poolOf();
    for (const value of [null, undefined, 0, 'no', { reason: 'no' }]) {
      await expect(pool.run({ kind: 'failWith', value })).rejects.toEqual(value);
    }
  });

  it('comes out, and the thread lives on, where something cannot be copied', async () => {
    const pool = poolOf();
    await expect(pool.run({ kind: 'echo', value: () => {} })).rejects.toThrow(
      'could not be cloned',
    );
    await expect(pool.run({ kind: 'uncopied' })).rejects.toThrow('could not be cloned');
    await expect(pool.run({ kind: 'failUncopied' })).rejects.toMatchObject({
      message: 'holds a function',
      code: 'E_HELD',
    });
    expect(pool.describe()).toMatchObject({
      state: { running: 0, idle: 1 },
      counters: { threadsStarted: 1 },
    });
  });
});

describe('a thread that ends by itself', () => {
  it.each([
    ['process.exit', { kind: 'exit', code: 0 }, { exitCode: 0 }],
    ['process.exit with a code', { kind: 'exit', code: 7 }, { exitCode: 7 }],
    [
      'an error that nobody caught',
      { kind: 'uncaught' },
      { cause: { message: 'nobody caught this' } },
    ],
    ['a rejection', { kind: 'rejection' }, { cause: { message: 'nobody awaited this' } }],
    ['its heap used up', { kind: 'memory' }, { cause: { code: 'ERR_WORKER_OUT_OF_MEMORY' } }],
  ])('rejects its task and leaves the pool as it was: %s', async (_, task, expected) => {
    const pool = poolOf({ resourceLimits: { maxOldGenerationSizeMb: 20 }, maxQueueSize: 1 });
    const crashed = pool.run(task);
    const next = pool.run({ kind: 'echo', value: 'next' });
    const error = await crashed.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(WorkerCrashedError);
    expect(error).toMatchObject({
      code: 'RESIL_WORKER_CRASHED',
      strategy: 'worker-pool',
      refusal: false,
      ...expected,
    });
    expect(await next).toBe('next');
    expect(pool.describe().counters).toMatchObject({ threadsStarted: 2, crashes: 1 });
  });

  it('rejects its task also where it cannot even start', async () => {
    const pool = poolOf({ threadOptions: { execArgv: ['--no-such-option'] } });
    await expect(pool.run({ kind: 'where' })).rejects.toThrow('--no-such-option');
    expect([pool.running, pool.threads]).toEqual([0, 0]);
  });
});

describe('a module', () => {
  it.each([
    ['is not there', './nowhere.mjs', { code: 'ERR_MODULE_NOT_FOUND' }],
    ['throws', './broken.mjs', { message: 'no licence', code: 'E_LICENCE' }],
  ])('that %s fails each task, with a new thread for each', async (_, file, expected) => {
    const pool = poolOf({ minThreads: 1 }, new URL(file, import.meta.url));
    await expect(pool.run({ kind: 'echo' })).rejects.toMatchObject(expected);
    await expect(pool.run({ kind: 'echo' })).rejects.toMatchObject(expected);
    await until(() => pool.threads === 0);
    expect(pool.describe().counters).toMatchObject({ threadsStarted: 2, crashes: 0 });
  });

  it('that lacks the function says so', async () => {
    const pool = poolOf({ exportName: 'triple' });
    await expect(pool.run({ kind: 'echo' })).rejects.toThrow('exports no function triple');
  });

  it('is loaded before the first task where there are threads from the beginning', async () => {
    const pool = poolOf({ maxThreads: 2, minThreads: 2 });
    expect(pool.describe().state).toMatchObject({ threads: 2, idle: 2, running: 0 });
    const counter = shared();
    await expect(pool.run({ kind: 'exit', code: 1, counter })).rejects.toThrow('ended with code 1');
    await until(() => pool.describe().counters.threadsStarted === 3);
    expect(pool.threads).toBe(2);
  });
});
