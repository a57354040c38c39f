import { describe, expect, it } from 'vitest';
import { readReport } from '../src/api-report.mjs';
import {
  bundleSizes,
  sizeChanges,
  sizedFolder,
  sizesText,
  splitReport,
} from '../src/bundle-size.mjs';

describe('sizes in a report', () => {
  const sizes = { everything: { minified: 9_000, gzipped: 3_000 } };

  it('are read as they were written, and leave the surface as it is', () => {
    const surface = '## API Report File\n\n```ts\n```\n';
    expect(splitReport(`${surface}\n${sizesText(sizes)}`)).toEqual({ surface, sizes });
    expect(splitReport(surface)).toEqual({ surface, sizes: {} });
  });

  it('differ when they grow or shrink by more than a hundredth, come or go', () => {
    const gzipped = (size: number) => ({ everything: { minified: 9_000, gzipped: size } });
    expect(sizeChanges(sizes, gzipped(3_030))).toEqual([]);
    expect(sizeChanges(sizes, gzipped(3_031))).toEqual([
      'everything: 3000 → 3031 bytes gzipped (+1.0 %)',
    ]);
    expect(sizeChanges(sizes, gzipped(2_900))).toHaveLength(1);
    expect(sizeChanges(sizes, {})).toHaveLength(1);
    expect(sizeChanges({}, sizes)).toHaveLength(1);
  });
});

describe('bundles of the core', () => {
  it('weigh what the API report says', async () => {
    const { sizes } = splitReport(readReport(sizedFolder));
    const remedy =
      'the core grew or shrank: if that is meant, run `pnpm build && pnpm api-report --update`, look at ' +
      'the diff and commit the report';
    expect(sizeChanges(sizes, await bundleSizes()), remedy).toEqual([]);
  });

  it('are smaller for each pattern alone than for all of them', async () => {
    const { everything, ...alone } = await bundleSizes();
    for (const { gzipped } of Object.values(alone) as { gzipped: number }[]) {
      expect(gzipped).toBeLessThan(everything.gzipped);
    }
  });
});
