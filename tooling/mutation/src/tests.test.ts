import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { bundle } from './bundle.js';
import { Tests } from './tests.js';

const fixture = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../fixture');
const endless = Number.POSITIVE_INFINITY;

async function testsOf(...files: string[]): Promise<Tests> {
  return new Tests(
    await bundle(
      fixture,
      files.map((file) => `src/${file}.test.ts`),
    ),
  );
}

describe('Tests', () => {
  it('runs all tests, or those that are named, evaluated anew each time', async () => {
    const tests = await testsOf('passes');
    expect(tests.fresh).toBe(true);
    const all = await tests.run({ bail: true }, endless);
    expect(tests.fresh).toBe(false);
    expect(all?.errors).toEqual([]);
    expect(all?.tests.map(({ name, failure }) => [name, failure])).toEqual([
      ['count > adds', undefined],
      ['count > adds nothing', undefined],
      ['count > is evaluated anew', undefined],
    ]);
    const [, second, third] = all?.tests.map(({ id }) => id) ?? [];
    const some = await tests.run(
      { tests: [second as string, third as string], bail: true },
      60_000,
    );
    expect(some?.tests.map(({ id }) => id)).toEqual([second, third]);
    await tests.end();
  });

  it('ends at the first failure where that is asked for', async () => {
    const tests = await testsOf('fails', 'passes');
    const first = await tests.run({ bail: true }, endless);
    expect(first?.tests.map(({ name }) => name)).toEqual(['fails']);
    expect(first?.tests[0]?.failure).toContain('expected 1 to be 2');
    const all = await tests.run({ bail: false }, endless);
    expect(all?.tests).toHaveLength(5);
    await tests.end();
  });

  it('gives nothing at once where a test waits for what never comes', async () => {
    const tests = await testsOf('waits');
    expect(await tests.run({ bail: true }, endless)).toBeUndefined();
    expect(tests.fresh).toBe(true);
  });

  it('waits with a test for a timer that keeps no process alive', async () => {
    const tests = await testsOf('idles');
    const end = await tests.run({ bail: true }, endless);
    expect(end?.tests.map(({ failure }) => failure)).toEqual([undefined]);
    await tests.end();
  });

  it('gives nothing where a test takes more than its processor time, and goes on with a new thread', async () => {
    const tests = await testsOf('spins', 'passes');
    expect(await tests.run({ bail: true }, 500)).toBeUndefined();
    const passing = (await testsOf('passes')).run({ bail: true }, endless);
    const ids = (await passing)?.tests.map(({ id }) => id) ?? [];
    expect((await tests.run({ tests: ids, bail: true }, endless))?.tests).toHaveLength(3);
    await tests.end();
  });
});
