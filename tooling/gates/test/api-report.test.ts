import { describe, expect, it } from 'vitest';
import { makeReport, readReport } from '../src/api-report.mjs';
import { publishedPackages } from '../src/workspace.mjs';

describe('API report', () => {
  it.each(publishedPackages().map(({ folder }) => folder))('of %s is up to date', (folder) => {
    expect(
      makeReport(folder),
      `the public surface of ${folder} changed: if that is meant, run \`pnpm build && pnpm ` +
        'api-report --update` and commit the report',
    ).toBe(readReport(folder));
  });
});
