// `pnpm bundle-size` prints what bundles of the core weigh, and what of that differs from its API report.

import { readReport } from './src/api-report.mjs';
import { bundleSizes, sizeChanges, sizedFolder, splitReport } from './src/bundle-size.mjs';

const now = await bundleSizes();
const { sizes: kept } = splitReport(readReport(sizedFolder));
console.log('| export | minified | gzipped | in the report |');
console.log('| --- | ---: | ---: | ---: |');
for (const [name, { minified, gzipped }] of Object.entries(now)) {
  console.log(`| \`${name}\` | ${minified} | ${gzipped} | ${kept[name]?.gzipped ?? 'none'} |`);
}
const changes = sizeChanges(kept, now);
if (changes.length > 0) {
  console.error(`\n${changes.join('\n')}`);
  console.error('Run `pnpm api-report --update` and look at the diff.');
  process.exitCode = 1;
}
