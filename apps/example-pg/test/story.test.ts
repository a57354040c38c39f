import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { story } from '../src/story.js';

it('goes as the README tells', async () => {
  const lines: string[] = [];
  await story((line) => lines.push(line));
  const told = lines.filter(
    (line) => !line.startsWith('initialising') && !line.startsWith('copying'),
  );
  expect(told).toContain('  resilient: 100 of 100 orders acknowledged, 100 in the database');
  const bare = told.find((line) => line.startsWith('  bare pool')) ?? '';
  const acknowledged = Number(/(\d+) of 100 orders/.exec(bare)?.[1]);
  expect(acknowledged).toBeLessThan(100);
  // How many the bare pool loses is up to chance; all else is as it says.
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const shown = /```text\n([^`]*)```/.exec(readme)?.[1]?.trimEnd().split('\n') ?? [];
  const same = (line: string): string =>
    line.startsWith('  bare pool') ? line.replace(/\d+/g, 'N') : line;
  expect(told.map(same)).toEqual(shown.map(same));
});
