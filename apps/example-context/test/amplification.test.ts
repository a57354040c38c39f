import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { callThrough } from '../src/chain.js';
import { type Row, rows } from '../src/rows.js';

const [alone, budgeted, whole] = rows as [Row, Row, Row];

describe('three services in a row, of which the last is down', () => {
  it('multiply the attempts of each without a context', async () => {
    const { client } = alone;
    expect(await callThrough(4, { client, context: false })).toEqual({ a: 12, b: 36, c: 108 });
  });

  it('leave retrying to the outermost with one', async () => {
    const { client } = alone;
    expect(await callThrough(4, { client, context: true })).toEqual({ a: 12, b: 12, c: 12 });
  });

  it('add what the outermost budget allows, and no more', async () => {
    const { client } = budgeted;
    const { a, b, c } = await callThrough(200, { client, context: true });
    expect([a, b, c]).toEqual([220, 220, 220]);
  });

  it('are called by a part of the calls alone once the breaker of the standard pipeline is open', async () => {
    const { client } = whole;
    const { c } = await callThrough(200, { client, context: true });
    expect(c).toBeGreaterThan(0);
    expect(c).toBeLessThan(200 / 2);
  });
});

// Thousands of requests through three servers: a machine that is busy needs its time.
it('prints what the README shows', async () => {
  const file = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [file('dist/index.js')]);
  expect(stdout).toMatch(/three attempts, nothing else +40 +27\.00× +3\.00×/);
  expect(stdout).toMatch(/three attempts, a budget of 0\.1 +200 +1\.\d\d× +1\.10×/);
  const readme = await readFile(file('README.md'), 'utf8');
  for (const line of stdout.trimEnd().split('\n')) {
    expect(readme).toContain(line.replace(/ {2,}.*$/, ''));
  }
}, 120_000);
