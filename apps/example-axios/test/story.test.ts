import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const file = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
/** What stays the same from run to run: the text without its numbers. */
const shapeOf = (line: string): string => line.replace(/\s{2,}.*$/, '');

it('serves every customer of the protected shop, as the README shows', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [file('dist/index.js')]);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.at(-1)).toBe('Every customer of the protected shop got a price.');
  const hanging = lines.find((line) => line.startsWith('the service hangs'));
  expect(hanging).toContain('0 served, 100 left waiting');
  expect(hanging).toContain('by the last known price');
  expect(stdout).toContain('opened, probed every 200 ms');
  const readme = await readFile(file('README.md'), 'utf8');
  for (const line of lines) expect(readme).toContain(shapeOf(line));
});
