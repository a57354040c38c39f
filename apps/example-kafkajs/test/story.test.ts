import { readFileSync } from 'node:fs';
import { describeWithKafka, kafkaMissing } from '@resil/testbed';
import { describe, expect, it } from 'vitest';
import { story } from '../src/story.js';

/** What stays the same from run to run: the text without its numbers. */
const shapeOf = (line: string): string => line.replace(/\s{2,}.*$/, '');

describeWithKafka({ describe, it }, await kafkaMissing(), 'the story of the README', () => {
  it('bills every order of the protected shop', { timeout: 240_000 }, async () => {
    const lines: string[] = [];
    expect(await story((text) => lines.push(...text.split('\n')))).toBe(true);
    expect(lines.at(-1)).toBe('Every order of the protected shop was billed.');
    const hanging = lines.find((line) => line.startsWith('the broker hangs'));
    expect(hanging).toMatch(/40 of 40 orders taken \(\d+ ms at most\)$/);
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const shown = /```text\n([^`]*)```/.exec(readme)?.[1]?.trimEnd().split('\n') ?? [];
    expect(lines.map(shapeOf)).toEqual(shown.map(shapeOf));
  });
});
