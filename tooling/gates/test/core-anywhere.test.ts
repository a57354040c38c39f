// The core runs where there is no Node, and a bundle holds only what is used of it.

import path from 'node:path';
import vm from 'node:vm';
import { rolldown } from 'rolldown';
import { beforeAll, describe, expect, it } from 'vitest';
import { withoutComments } from '../src/source-rules.mjs';
import { root } from '../src/workspace.mjs';

const entry = path.join(root, 'packages/core/dist/index.js');

/** One script out of `code`, which may import from 'core'; `result` holds what it exports. */
async function bundle(code: string): Promise<string> {
  const build = await rolldown({
    input: 'entry',
    platform: 'neutral',
    logLevel: 'silent',
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === 'entry' ? '\0entry' : id === 'core' ? entry : null),
        load: (id) => (id === '\0entry' ? code : null),
      },
    ],
  });
  try {
    const { output } = await build.generate({ format: 'iife', name: 'result' });
    expect(output[0].imports).toEqual([]);
    return output[0].code;
  } finally {
    await build.close();
  }
}

/** What every runtime has beyond the language, and nothing of Node. */
const webGlobals = () => ({
  AbortController,
  AbortSignal,
  performance,
  queueMicrotask,
  setTimeout,
  clearTimeout,
});

describe('the core without Node', () => {
  const uses = `
    import { bulkhead, circuitBreaker, fallback, pipeline, retry, timeout } from 'core';
    const answers = pipeline(
      fallback(() => 'last known'),
      timeout({ duration: 2_000 }),
      retry({ maxAttempts: 3, baseDelay: 1 }),
      circuitBreaker({ failureThreshold: 6, resetTimeout: 30_000 }), // two calls fail five times together
      bulkhead({ maxConcurrentCalls: 20, maxQueueSize: 50 }),
      timeout({ duration: 500 }),
    );
    let runs = 0;
    export const repeated = answers.execute(async ({ signal }) => {
      if (signal.aborted) throw signal.reason;
      runs += 1;
      if (runs < 3) throw new Error('not yet');
      return runs;
    });
    export const replaced = answers.execute(async () => { throw new Error('never'); });
  `;
  let code: string;

  beforeAll(async () => {
    code = await bundle(uses);
  });

  it('runs a pipeline of everything', async () => {
    const context = vm.createContext(webGlobals());
    const result = vm.runInContext(`${code}\nresult`, context);
    expect(await result.repeated).toBe(3);
    expect(await result.replaced).toBe('last known');
  });

  it('mentions no global of Node', () => {
    const mentioned = withoutComments(code).match(
      /\b(?:process|Buffer|global|__dirname|require|setImmediate)\b(?=[.([])/g,
    );
    expect(mentioned ?? []).toEqual([]);
  });
});

describe('a bundle of the core', () => {
  it('holds only the patterns that are used', async () => {
    const some = await bundle(`export { timeout } from 'core';`);
    const all = await bundle(`export * from 'core';`);
    const defines = (name: string) => new RegExp(`\\bclass ${name}\\b|\\b${name} = class\\b`);
    expect(some).toMatch(defines('Timeout'));
    for (const name of ['CircuitBreaker', 'Retry', 'Bulkhead', 'Fallback', 'RetryBudget']) {
      expect(all).toMatch(defines(name));
      expect(some).not.toMatch(defines(name));
    }
    expect(some.length).toBeLessThan(all.length / 2);
  });

  it('is empty when nothing is used', async () => {
    const none = await bundle(`import 'core'; export const nothing = 0;`);
    expect(none.length).toBeLessThan(300);
  });
});
