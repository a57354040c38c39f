/** The main files of the demo's processes. */

/** Where a main file of this package is built: a process of its own has no loader for sources. */
export function mainFile(name: string): URL {
  return new URL(`../dist/${name}`, import.meta.url);
}
