/** The files that a module is made of, and the packages that they import: read, not run. */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { init, parse } from 'es-module-lexer';
import type { PackageImport } from './inspection.js';

/** What the sources of a module show. */
export interface SourceGraph {
  /** The module and the files that it imports by a relative path. */
  readonly files: readonly string[];
  readonly packages: readonly PackageImport[];
}

/** Bundles have one file; a service rarely has more than some hundred. */
const MAX_FILES = 2_000;

/** Reads the module and what it imports. */
export async function readSourceGraph(entry: string): Promise<SourceGraph> {
  await init;
  const files = new Set<string>();
  const packages = new Map<string, Set<string>>();
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (files.has(file) || files.size >= MAX_FILES) continue;
    files.add(file);
    for (const specifier of importsOf(await readFile(file, 'utf8'))) {
      if (/^\.{1,2}(?:\/|$)/.test(specifier)) {
        const next = await resolveFile(path.resolve(path.dirname(file), specifier));
        if (next !== undefined) waiting.push(next);
        continue;
      }
      const name = packageOf(specifier);
      if (name === undefined) continue;
      const importers = packages.get(name) ?? new Set();
      packages.set(name, importers.add(file));
    }
  }
  return {
    files: [...files],
    packages: [...packages].map(([name, importers]) => ({ name, files: [...importers] })),
  };
}

/** What a source imports, requires or re-exports; types alone don't count. */
export function importsOf(source: string): string[] {
  const required = [...source.matchAll(REQUIRE)].map((match) => match[1] as string);
  try {
    const [imports] = parse(source);
    const imported = imports.flatMap(({ n: name, ss: start, se: end }) => {
      const onlyTypes = /^(?:import|export)\s+type\b/.test(source.slice(start, end));
      return name === undefined || onlyTypes ? [] : [name];
    });
    return [...imported, ...required];
  } catch {
    // TypeScript that the lexer can't read.
    return [...[...source.matchAll(IMPORT)].map((match) => match[1] as string), ...required];
  }
}

const REQUIRE = /\brequire\(\s*['"]([^'"]+)['"]\s*\)/g;
const IMPORT = /^\s*(?:import|export)\b(?!\s+type\b)[^'"]*?['"]([^'"]+)['"]/gm;

/** `@grpc/grpc-js` of `@grpc/grpc-js/build/src/client.js`; nothing of a builtin, a path or an alias. */
function packageOf(specifier: string): string | undefined {
  if (/^(?:node:|\/|#|[a-z]+:)/.test(specifier)) return undefined;
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
}

/** A file by the specifier of its import: TypeScript names the `.js` that will be. */
async function resolveFile(wanted: string): Promise<string | undefined> {
  const candidates = [
    wanted,
    wanted.replace(/\.js$/, '.ts'),
    wanted.replace(/\.mjs$/, '.mts'),
    ...['.ts', '.js', '.mjs', '.cjs', '/index.ts', '/index.js'].map((end) => `${wanted}${end}`),
  ];
  for (const candidate of candidates) {
    const found = await stat(candidate).catch(() => undefined);
    if (found?.isFile() === true && /\.[cm]?[jt]sx?$/.test(candidate)) return candidate;
  }
  return undefined;
}
