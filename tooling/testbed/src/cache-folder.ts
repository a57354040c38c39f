/** Where what was fetched once is kept, outside the tree. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** `RESIL_CACHE` if set, else `resil` in the user's cache folder. */
export function cacheFolder(): string {
  return (
    process.env.RESIL_CACHE ??
    join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'resil')
  );
}
