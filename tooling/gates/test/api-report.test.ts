import { describe, expect, it } from 'vitest';
import { makeReport, readReport } from '../src/api-report.mjs';
import { publishedPackages } from '../src/workspace.mjs';

const remedy =
  'the public surface changed: if that is meant, run `pnpm build && pnpm api-report --update`, look ' +
  'at the diff and commit the report';

describe.each(publishedPackages())('API report of $folder', ({ folder }) => {
  it('is up to date', () => {
    expect(makeReport(folder), remedy).toBe(readReport(folder));
  });

  it('has no symbol, option or member without a docstring', () => {
    const lines: string[] = makeReport(folder).split('\n');
    const bare = lines.flatMap((line, index) =>
      line.includes('(undocumented)') ? [lines[index + 1]?.trim() ?? line] : [],
    );
    expect(bare).toEqual([]);
  });

  it('names no type that is not exported', () => {
    const hidden = [...makeReport(folder).matchAll(/ae-forgotten-export\) (.*)/g)];
    expect(hidden.map((match) => match[1])).toEqual([]);
  });
});
