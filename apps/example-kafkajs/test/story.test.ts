import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describeWithKafka, kafkaMissing } from '@resil/testbed';
import { describe, expect, it } from 'vitest';

const file = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
/** What stays the same from run to run: the text without its numbers. */
const shapeOf = (line: string): string => line.replace(/\s{2,}.*$/, '');

describeWithKafka({ describe, it }, await kafkaMissing(), 'the story of the README', () => {
  it('bills every order of the protected shop', { timeout: 240_000 }, async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [file('dist/index.js')]);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.at(-1)).toBe('Every order of the protected shop was billed.');
    const hanging = lines.find((line) => line.startsWith('the broker hangs'));
    expect(hanging).toMatch(/40 of 40 orders taken \(\d+ ms at most\)$/);
    const readme = await readFile(file('README.md'), 'utf8');
    for (const line of lines) expect(readme).toContain(shapeOf(line));
  });
});
