import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { story } from '../src/story.js';

it('goes as the README tells', async () => {
  const lines: string[] = [];
  await story((text) => lines.push(...text.split('\n')));
  // How often what happened is up to chance and to the machine; what can happen at all is not.
  const guarded = lines.filter((line) => line.startsWith('  guarded'));
  expect(guarded).toHaveLength(3);
  for (const line of guarded) {
    expect(line).toMatch(/^ {2}guarded {2}(\d+ (answer|estimate)(, )?)+; longest wait [\d.]+ s$/);
    const counts = [...line.matchAll(/(\d+) (?:answer|estimate)/g)].map(([, count]) =>
      Number(count),
    );
    expect(counts.reduce((sum, count) => sum + count)).toBe(150);
  }
  expect(lines.find((line) => line.startsWith('  plain'))).toContain('14 UNAVAILABLE');
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const shown = /```text\n([^`]*)```/.exec(readme)?.[1]?.trimEnd().split('\n') ?? [];
  const titles = (all: readonly string[]): string[] => all.filter((line) => !line.startsWith(' '));
  expect(titles(lines)).toEqual(titles(shown));
});
