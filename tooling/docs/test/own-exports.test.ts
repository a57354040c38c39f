import { describe, expect, it } from 'vitest';
import { importLine, listedExports } from '../src/own-exports.js';

const index = [
  "export { Retry, retry } from './retry.js'; // retry",
  "export type { RetryOptions } from './retry.js';",
  "export { default as clock, type Clock } from './clock.js';",
].join('\n');

describe('a docstring’s own package', () => {
  const listed = listedExports(index);

  it('exports what its index lists', () => {
    expect(listed).toEqual({
      values: ['Retry', 'retry', 'clock'],
      types: ['RetryOptions', 'Clock'],
    });
  });

  it('is imported as far as the example uses it', () => {
    const text = 'const options: RetryOptions = {};\nawait retry(options).execute(fn);';
    expect(importLine(text, '@resil/core', listed)).toBe(
      "import { retry, type RetryOptions } from '@resil/core';",
    );
  });

  it('is not imported for option names, members, or what the example imports or declares', () => {
    const text = [
      "import { Retry } from '@resil/core';",
      'const clock = make({ retry: new Retry() });',
      'other.retry(clock);',
    ].join('\n');
    expect(importLine(text, '@resil/core', listed)).toBe('');
  });
});
