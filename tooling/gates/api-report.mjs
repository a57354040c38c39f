// `pnpm api-report` tells which checked-in API reports differ from what was built;
// `pnpm api-report --update` rewrites them.

import { makeReport, readReport, reportName, updateReports } from './src/api-report.mjs';
import { publishedPackages } from './src/workspace.mjs';

if (process.argv.includes('--update')) {
  const changed = updateReports();
  console.log(changed.length === 0 ? 'No API report changed.' : `Rewrote ${changed.join(', ')}`);
} else {
  const stale = publishedPackages()
    .map(({ folder }) => folder)
    .filter((folder) => makeReport(folder) !== readReport(folder));
  for (const folder of stale) console.error(`${folder}/${reportName} is out of date`);
  if (stale.length > 0) console.error('Run `pnpm api-report --update` and look at the diff.');
  process.exitCode = stale.length === 0 ? 0 : 1;
}
