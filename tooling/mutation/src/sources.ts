/** Which files of the core are mutated, and which tests have to notice. */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The core's folder. */
export const core: string = path.resolve(
  path.dirname(fileURLToPath(import.meta.url)),
  '../../../packages/core',
);

/** Files that hold types or re-exports alone. */
const withoutCode: readonly string[] = ['index.ts', 'call.ts', 'events.ts', 'outcome.ts'];

/**
 * Tests that are left out but for their own file, since they repeat or simulate for seconds, or start
 * processes: a mutant that only they notice counts as a survivor.
 */
const slow: readonly RegExp[] = [
  /\/properties-/,
  /\/(?:leaks|contract|throttle)\./,
  /\/algorithms\/(?:tail-at-scale|amplification|aws-backoff|backoff-of-others|finagle-budget|concurrency-budget)\./,
  /\/issues\/(?:costs|queues)\./,
];

/** Thousands of tests of what options may be; only for files that say so. */
const optionTests = 'test/options.test.ts';

/** Names of the files that are mutated, sorted. */
export function mutatedFiles(): string[] {
  return fs
    .readdirSync(path.join(core, 'src'))
    .filter((file) => file.endsWith('.ts') && !file.includes('.test'))
    .filter((file) => !withoutCode.includes(file))
    .sort();
}

/** Test files that run for a mutated file, relative to the core's folder; its own come first. */
export function testsOf(file: string): string[] {
  const own = file.replace(/(?:-options)?\.ts$/, '');
  const source = fs.readFileSync(path.join(core, 'src', file), 'utf8');
  const takesOptions = /OptionRule|checkOptions/.test(source);
  return ['src', 'test']
    .flatMap((folder) =>
      fs
        .readdirSync(path.join(core, folder), { recursive: true, encoding: 'utf8' })
        .map((name) => path.join(folder, name)),
    )
    .filter((name) => name.endsWith('.test.ts'))
    .filter((name) => rank(name) === 0 || !slow.some((pattern) => pattern.test(name)))
    .filter((name) => name !== optionTests || takesOptions)
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));

  function rank(name: string): number {
    if (name === `src/${own}.test.ts`) return 0;
    return name.startsWith('src/') ? 1 : 2;
  }
}
