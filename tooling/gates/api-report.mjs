// `pnpm api-report` tells which checked-in API reports differ from what was built;
// `pnpm api-report --update` rewrites them.

import {
  makeReport,
  readReport,
  readSurface,
  reportName,
  updateReports,
} from './src/api-report.mjs';
import { bundleSizes, sizeChanges, sizedFolder, splitReport } from './src/bundle-size.mjs';
import { publishedPackages } from './src/workspace.mjs';

if (process.argv.includes('--update')) {
  const changed = await updateReports();
  console.log(changed.length === 0 ? 'No API report changed.' : `Rewrote ${changed.join(', ')}`);
} else {
  const stale = publishedPackages()
    .map(({ folder }) => folder)
    .filter((folder) => makeReport(folder) !== readSurface(folder));
  for (const folder of stale) console.error(`${folder}/${reportName} is out of date`);
  const { sizes } = splitReport(readReport(sizedFolder));
  const changes = sizeChanges(sizes, await bundleSizes());
  if (changes.length > 0) console.error(`${sizedFolder}/${reportName}: ${changes.join('; ')}`);
  const differs = stale.length + changes.length > 0;
  if (differs) console.error('Run `pnpm api-report --update` and look at the diff.');
  process.exitCode = differs ? 1 : 0;
}
