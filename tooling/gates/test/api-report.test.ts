import { describe, expect, it } from 'vitest';
import { makeReport, readSurface } from '../src/api-report.mjs';
import { publishedPackages } from '../src/workspace.mjs';

const remedy =
  'the public surface changed: if that is meant, run `pnpm build && pnpm api-report --update`, look ' +
  'at the diff and commit the report';

/** Exports, and members of exported `…Options`, that have no docstring. */
function undocumented(report: string): string[] {
  const lines = report.split('\n');
  let within = '';
  return lines.flatMap((line, index) => {
    within = /^export (?:declare )?(?:abstract )?\w+ (\w+)/.exec(line)?.[1] ?? within;
    if (!line.includes('(undocumented)')) return [];
    const subject = lines[index + 1]?.trim() ?? '';
    if (subject.startsWith('export ')) return [subject];
    return within.endsWith('Options') ? [`${within}: ${subject}`] : [];
  });
}

describe('undocumented', () => {
  it('finds exports and options, and leaves members that need no word alone', () => {
    const report = [
      '// @public (undocumented)',
      'export class Retry {',
      '    // (undocumented)',
      '    readonly name: string;',
      '}',
      '// @public',
      'export interface RetryOptions {',
      '    // (undocumented)',
      '    readonly maxAttempts?: number;',
      '    readonly baseDelay?: number;',
      '}',
    ].join('\n');
    expect(undocumented(report)).toEqual([
      'export class Retry {',
      'RetryOptions: readonly maxAttempts?: number;',
    ]);
  });
});

describe.each(publishedPackages())('API report of $folder', ({ folder }) => {
  it('is up to date', () => {
    expect(makeReport(folder), remedy).toBe(readSurface(folder));
  });

  it('has no exported symbol and no option without a docstring', () => {
    expect(undocumented(makeReport(folder))).toEqual([]);
  });

  it('names no type that is not exported', () => {
    const hidden = [...makeReport(folder).matchAll(/ae-forgotten-export\) (.*)/g)];
    expect(hidden.map((match) => match[1])).toEqual([]);
  });
});
