/** Fills in what is generated in a page: tables of options, between two comments that stay. */
import { optionsTable, readOptions } from './options-table.js';

const root = new URL('../../../', import.meta.url);
/** Where the core's sources are. */
export const coreSources: URL = new URL('packages/core/src/', root);
/** Where the pages are. */
export const pagesFolder: URL = new URL('docs/patterns/', root);

/** A page with its tables as the sources have them now. */
export function fillIn(page: string): string {
  return page.replace(
    /<!-- options: (\w+) of ([\w./-]+\.ts) -->\n[\s\S]*?<!-- end -->/g,
    (_whole, name: string, file: string) => {
      const at = file.includes('/') ? new URL(file, root) : new URL(file, coreSources);
      const table = optionsTable(readOptions(at, name));
      return `<!-- options: ${name} of ${file} -->\n${table}\n<!-- end -->`;
    },
  );
}
