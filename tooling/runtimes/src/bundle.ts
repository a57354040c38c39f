/** Makes one module out of the tests of the core and all that they import. */
import fs from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';
import type { Runtime } from './runtimes.js';

const here = path.dirname(fileURLToPath(import.meta.url));
const suite = path.resolve(here, '../suite');
const core = path.resolve(here, '../../../packages/core');

/** Paths of all test files of the core, relative to its folder, sorted. */
function testFiles(): string[] {
  return ['src', 'test']
    .flatMap((folder) =>
      fs
        .readdirSync(path.join(core, folder), { recursive: true, encoding: 'utf8' })
        .map((file) => path.join(folder, file)),
    )
    .filter((file) => file.endsWith('.test.ts'))
    .sort();
}

/** Writes the bundle for a runtime to `target`. */
export async function bundle({ entry, without }: Runtime, target: string): Promise<void> {
  const build = await rolldown({
    input: path.join(suite, `${entry}.ts`),
    platform: 'neutral',
    external: /^node:(?!events$)/,
    logLevel: 'silent',
    resolve: {
      conditionNames: ['@resil/source', 'import', 'module', 'default'],
      mainFields: ['module', 'main'],
      extensionAlias: { '.js': ['.ts', '.js'] },
    },
    plugins: [
      {
        name: 'suite',
        resolveId: (id, importer) => {
          if (id === 'vitest') return path.join(suite, 'vitest.ts');
          if (id === 'node:events') {
            const own = path.join(suite, 'events.ts');
            return entry === 'worker' && importer !== own ? own : { id, external: true };
          }
          return id === 'suite:files' || (isBuiltin(id) && !id.startsWith('node:'))
            ? `\0${id}`
            : null;
        },
        load: (id) => {
          if (id === '\0suite:files') return tableOf(testFiles(), Object.keys(without));
          // The fake timers also replace what Node's own modules export, where there are any.
          return id.startsWith('\0') && isBuiltin(id.slice(1)) ? 'module.exports = {};' : null;
        },
        // A test that asks where it lies means its own file, not the bundle.
        transform: (code, id) =>
          id.endsWith('.ts') && code.includes('import.meta.url')
            ? code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href))
            : null,
      },
    ],
  });
  try {
    await build.write({ file: target, format: 'esm', codeSplitting: false });
  } finally {
    await build.close();
  }
}

function tableOf(files: readonly string[], without: readonly string[]): string {
  const rows = files.map(
    (file) => `${JSON.stringify(file)}: () => import(${JSON.stringify(path.join(core, file))}),`,
  );
  return [
    `export const without = ${JSON.stringify(without)};`,
    'export const files = {',
    ...rows,
    '};',
  ].join('\n');
}
