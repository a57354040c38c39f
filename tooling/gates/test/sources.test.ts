// House rules about source files that a script can check.

import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  importedModules,
  matchingLines,
  switchedOffChecks,
  switchedOffTests,
  timeOrChance,
  withoutComments,
} from '../src/source-rules.mjs';
import { publishedPackages, readText, repositoryFiles } from '../src/workspace.mjs';

const files: string[] = repositoryFiles();
const isTest = (file: string) => /\.test(?:-d)?\.ts$/.test(file);
const published = files.filter((file) => /^packages\/[^/]+\/src\/.*\.ts$/.test(file));
const sources = published.filter((file) => !isTest(file));
const code = files.filter((file) => /\.(?:ts|mjs|js|cjs)$/.test(file));
const inCore = (file: string) => file.startsWith('packages/core/');

/** `file:line: text` of every line of `among` that matches. */
const findings = (among: string[], pattern: RegExp, text = readText) =>
  among.flatMap((file) =>
    matchingLines(text(file), pattern).map((found: string) => `${file}:${found}`),
  );
const codeOf = (file: string) => withoutComments(readText(file));

describe('the rules themselves', () => {
  it('see time and chance in code and in templates, not in comments or strings', () => {
    const text = [
      'const a = Date.now();',
      '// Date.now()',
      "const b = 'Math.random()';",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the text looked at
      'const c = `${Math.random()}`;',
      '/* setTimeout(',
      '*/ const d = globalThis.setTimeout(() => {}, 1);',
      'const e = performance.now;',
    ].join('\n');
    const lines = matchingLines(withoutComments(text), timeOrChance);
    expect(lines.map((line: string) => Number.parseInt(line, 10))).toEqual([1, 4, 6, 7]);
  });

  it('see every way to import', () => {
    const text = [
      "import a from 'a';",
      "import 'b';",
      "export { c } from 'c';",
      "const d = await import('d');",
      "type E = import('e').E;",
      "import {\n  f,\n} from 'f';",
      "// import g from 'g';",
      "const example = `import h from 'h';`;",
    ].join('\n');
    expect(importedModules(text)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  it('see tests that are switched off', () => {
    const off = ['it.skip(', 'describe.only(', 'test.concurrent.todo(', 'xit(', 'fdescribe('];
    const on = ['it(', 'describe.each(', 'it.skipIf(!kafka)(', 'emit(', 'array.only'];
    expect(off.filter((line) => switchedOffTests.test(line))).toEqual(off);
    expect(on.filter((line) => switchedOffTests.test(line))).toEqual([]);
  });

  it('have sources to look at', () => {
    for (const { folder } of publishedPackages()) {
      expect(sources).toContain(`${folder}/src/index.ts`);
    }
  });
});

describe('published sources', () => {
  it('take time from clock.ts and chance from random.ts alone', () => {
    const others = sources.filter((file) => !/\/(?:clock|random)\.ts$/.test(file));
    expect(findings(others, timeOrChance, codeOf)).toEqual([]);
  });

  it('of the core import only one another', () => {
    const outside = sources.filter(inCore).flatMap((file) =>
      importedModules(readText(file))
        .filter((name: string) => {
          const target = path.posix.join(path.posix.dirname(file), name);
          return !name.startsWith('.') || !target.startsWith('packages/core/src/');
        })
        .map((name: string) => `${file}: ${name}`),
    );
    expect(outside).toEqual([]);
  });

  it('of an adapter import no other adapter, no tooling and no test package', () => {
    /** Ours that others of ours may be made with: the patterns, and the table of metrics. */
    const shared = ['@resil/core', '@resil/telemetry'];
    const names = publishedPackages().map(({ manifest }) => manifest.name as string);
    const wrong = publishedPackages()
      .filter(({ manifest }) => manifest.name !== '@resil/core')
      .flatMap(({ folder, manifest }) =>
        sources
          .filter((file) => file.startsWith(`${folder}/`))
          .flatMap((file) =>
            importedModules(readText(file))
              .filter((name: string) => name.startsWith('@resil/') && !shared.includes(name))
              .filter((name: string) => name !== manifest.name || !names.includes(name))
              .map((name: string) => `${file}: ${name}`),
          ),
      );
    expect(wrong).toEqual([]);
  });

  it('import within their own package by a relative path that stays in src', () => {
    const wrong = sources.flatMap((file) => {
      const home = file.split('/').slice(0, 3).join('/');
      return importedModules(readText(file))
        .filter((name: string) => name.startsWith('.'))
        .filter((name: string) => {
          const target = path.posix.join(path.posix.dirname(file), name);
          return !target.startsWith(`${home}/`) || !name.endsWith('.js');
        })
        .map((name: string) => `${file}: ${name}`);
    });
    expect(wrong).toEqual([]);
  });

  it('list their exports one by one in index.ts', () => {
    const indexes = sources.filter((file) => file.endsWith('/src/index.ts'));
    expect(findings(indexes, /\bexport\s*\*/, codeOf)).toEqual([]);
  });

  it('have file names that name a thing', () => {
    const vague = sources.filter((file) =>
      /\/(?:utils?|common|helpers?|misc|shared)(?:\.ts|\/)/.test(file),
    );
    expect(vague).toEqual([]);
    const odd = sources.filter(
      (file) => !/^[a-z0-9]+(?:-[a-z0-9]+)*\.ts$/.test(path.basename(file)),
    );
    expect(odd).toEqual([]);
  });

  it('write nothing to the console', () => {
    const reporting = (file: string) => file === 'packages/core/src/events.ts';
    const others = sources.filter((file) => !reporting(file));
    expect(findings(others, /\bconsole\.(?:log|info|debug|trace)\b/, codeOf)).toEqual([]);
  });
});

describe('all code', () => {
  const tests = code.filter((file) => isTest(file));

  it('switches no test off', () => {
    expect(findings(tests, switchedOffTests, codeOf)).toEqual([]);
  });

  it('switches no check of the compiler off', () => {
    const own = 'tooling/gates/src/source-rules.mjs';
    const others = code.filter((file) => file !== own);
    expect(findings(others, switchedOffChecks)).toEqual([]);
  });
});

it('warns of sources over 400 lines', ({ annotate }) => {
  const long = sources
    .map((file) => ({ file, lines: readText(file).split('\n').length - 1 }))
    .filter(({ lines }) => lines > 400);
  for (const { file, lines } of long) {
    console.warn(`${file} has ${lines} lines: is there a strategy in it that could stand alone?`);
  }
  // A warning up to here; no file grows to twice that unnoticed.
  expect(long.filter(({ lines }) => lines > 800)).toEqual([]);
  return annotate(`${long.length} of ${sources.length} sources are over 400 lines`);
});
