/**
 * Makes one script out of tests of the core and all that they import, for a worker that evaluates it
 * anew for each mutant. A part of vitest that runs anywhere stands in for vitest.
 */
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../../..');
const vitest = path.join(root, 'tooling/runtimes/suite/vitest.ts');

/** Gives the script of the test files, which are paths relative to `core`, the core's folder. */
export async function bundle(core: string, testFiles: readonly string[]): Promise<string> {
  const aliases: Readonly<Record<string, string>> = {
    vitest,
    '@resil/core': path.join(core, 'src/index.ts'),
    '@resil/testing': path.join(root, 'packages/testing/src/index.ts'),
  };
  const build = await rolldown({
    input: 'suite',
    platform: 'neutral',
    tsconfig: false,
    external: /^node:/,
    logLevel: 'silent',
    resolve: {
      conditionNames: ['@resil/source', 'import', 'module', 'default'],
      mainFields: ['module', 'main'],
      extensionAlias: { '.js': ['.ts', '.js'] },
    },
    plugins: [
      {
        name: 'suite',
        resolveId(id, importer) {
          if (id === 'suite' || (isBuiltin(id) && !id.startsWith('node:'))) return `\0${id}`;
          // The runner must be the one that the stand-in for vitest imports.
          return importer === '\0suite' ? this.resolve(id, vitest) : (aliases[id] ?? null);
        },
        load: (id) => {
          if (id === '\0suite') return entryOf(core, testFiles);
          // The fake timers also replace what Node's own modules export.
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
    const { output } = await build.generate({ format: 'cjs', codeSplitting: false });
    return output[0].code;
  } finally {
    await build.close();
  }
}

function entryOf(core: string, testFiles: readonly string[]): string {
  const rows = testFiles.map(
    (file) => `${JSON.stringify(file)}: () => import(${JSON.stringify(path.join(core, file))}),`,
  );
  return [
    "export { startTests } from '@vitest/runner';",
    `export { vi } from ${JSON.stringify(vitest)};`,
    'export const files = {',
    ...rows,
    '};',
  ].join('\n');
}
