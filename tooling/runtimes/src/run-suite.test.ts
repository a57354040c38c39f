import process from 'node:process';
import { describe, expect, it } from 'vitest';
import { runSuite } from './run-suite.js';
import type { Runtime } from './runtimes.js';

const here: Runtime = {
  name: 'this Node',
  entry: 'main',
  program: process.execPath,
  args: (file) => [file],
  without: { 'leaks > a process': 'to see that tests can be left out' },
};

describe('runSuite', () => {
  it('runs every test of the core without vitest, but for those left out', async () => {
    const lines: string[] = [];
    const totals = await runSuite(here, process.execPath, (line) => lines.push(line));
    expect(lines.filter((line) => line.startsWith('failed '))).toEqual([]);
    expect(totals).toMatchObject({ failed: 0 });
    expect(totals?.passed).toBeGreaterThan(1_000);
    expect(totals?.skipped).toBeGreaterThan(0);
  }, 600_000);

  it('gives nothing where the suite does not come to its end', async () => {
    const broken = { ...here, args: () => ['--eval', 'process.exit(3)'] };
    expect(await runSuite(broken, process.execPath, () => {})).toBeUndefined();
  });
});
