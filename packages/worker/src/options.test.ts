import { InvalidOptionError } from '@resil/core';
import { describe, expect, it } from 'vitest';
import { workerPool, workerPoolDefaults } from './index.js';

const module = new URL('data:text/javascript,export default () => {}');

describe('options', () => {
  it.each([
    ['workerPool.maxThreads', { maxThreads: 0 }],
    ['workerPool.maxThreads', { maxThreads: Infinity }],
    ['workerPool.minThreads', { minThreads: -1 }],
    ['workerPool.minThreads', { minThreads: 3, maxThreads: 2 }],
    ['workerPool.maxQueueSize', { maxQueueSize: Infinity }],
    ['workerPool.queueTimeout', { queueTimeout: -1 }],
    ['workerPool.timeout', { timeout: 0 }],
    ['workerPool.idleTimeout', { idleTimeout: NaN }],
    ['workerPool.exportName', { exportName: '' }],
    ['workerPool.resourceLimits', { resourceLimits: { maxOldGenerationSizeMb: 0 } }],
    ['workerPool.resourceLimits', { resourceLimits: { maxHeap: 5 } }],
    ['workerPool.threadOptions', { threadOptions: { eval: true } }],
    ['workerPool.name', { name: '' }],
    ['workerPool.clock', { clock: {} }],
    ['workerPool.threads', { threads: 2 }],
  ])('refuses a bad %s: %j', (option, options) => {
    const error: unknown = thrownBy(() => workerPool(module, options as never));
    expect(error).toBeInstanceOf(InvalidOptionError);
    expect(error).toMatchObject({ option });
  });

  it.each([['./task.js'], ['task.js'], ['https://example.com/task.js'], [undefined], [7]])(
    'refuses %j as the module',
    (filename) => {
      expect(() => workerPool(filename as never)).toThrow(/^workerPool: filename must be/);
    },
  );

  it('takes a path, a file: URL, and undefined for an option that is left out', () => {
    for (const filename of ['/srv/task.js', 'file:///srv/task.js', new URL('file:///srv/a.js')]) {
      const pool = workerPool(filename, { maxThreads: undefined, timeout: undefined });
      expect(pool.describe().options).toMatchObject({
        maxThreads: workerPoolDefaults.maxThreads,
        timeout: 30_000,
      });
    }
  });
});

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
