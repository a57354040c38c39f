// What must hold for the repository as a whole.

import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readText, repositoryFiles, workspacePackages } from '../src/workspace.mjs';

const files: string[] = repositoryFiles();
const texts = files.filter(
  (file) => !/\.(?:png|jpe?g|gif|ico|woff2?|ttf|tgz|pem|p12|jks)$/.test(file),
);
const packages = workspacePackages();

const matches = (pattern: RegExp, among = texts) =>
  among.flatMap((file) =>
    readText(file)
      .split('\n')
      .flatMap((line, index) =>
        pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [],
      ),
  );

describe('tracked files', () => {
  it('name no path of a machine', () => {
    // Written so that this file doesn't match itself.
    const home = ['ro' + 'ot', 'ho' + 'me', 'Us' + 'ers', 'wo' + 'rk'].join('|');
    expect(matches(new RegExp(`(?:^|[\\s"'\`(=:])/(?:${home})/[\\w.-]+`))).toEqual([]);
  });

  it('name no host of a package registry', () => {
    const hosts = [
      'registry\\.' + 'npmjs',
      'registry\\.' + 'yarnpkg',
      'repo1?\\.' + 'maven',
      'npmm' + 'irror',
    ];
    expect(matches(new RegExp(`https?://[^\\s"']*(?:${hosts.join('|')})`))).toEqual([]);
    expect(matches(/https?:\/\//, ['pnpm-lock.yaml'])).toEqual([]);
  });

  it('hold nothing that is built', () => {
    expect(
      files.filter((file) =>
        /(?:^|\/)(?:dist|node_modules|\.turbo|\.vitest|\.tsbuild)\//.test(file),
      ),
    ).toEqual([]);
  });
});

describe('package.json', () => {
  it.each(packages)('of $folder takes every version from the catalog', ({ manifest }) => {
    const own = {
      ...manifest.dependencies,
      ...manifest.devDependencies,
      ...manifest.optionalDependencies,
    };
    const versions = Object.entries<string>(own).filter(
      ([name, version]) =>
        !(name.startsWith('@resil/') ? /^workspace:[*^]$/ : /^catalog:$/).test(version),
    );
    expect(versions).toEqual([]);
  });

  it.each(packages.filter(({ manifest }) => manifest.scripts !== undefined))(
    'of $folder has the scripts that all have',
    ({ manifest }) => {
      const names = Object.keys(manifest.scripts);
      // Benchmarks measure; nothing of theirs is left to test.
      const needed = names.includes('bench')
        ? ['typecheck', 'lint']
        : ['typecheck', 'lint', 'test'];
      expect(names).toEqual(expect.arrayContaining(needed));
      const known = ['build', 'typecheck', 'lint', 'test', 'bench', 'soak', 'start'];
      // Commands that print a table.
      known.push('amplification', 'metastability', 'overload');
      expect(names.filter((name) => !known.includes(name))).toEqual([]);
    },
  );

  it('of packages and apps carries the name of its folder', () => {
    const wrong = packages.filter(
      ({ folder, manifest }) => manifest.name !== `@resil/${path.basename(folder)}`,
    );
    // Two folders of settings are named for what reads them.
    expect(wrong.map(({ folder }) => folder)).toEqual(['tooling/vitest']);
  });
});

describe('catalog', () => {
  const entries =
    readText('pnpm-workspace.yaml')
      .split('\ncatalog:\n')[1]
      ?.split('\n\n')[0]
      ?.split('\n')
      .map((line) => /^ {2}'?([^':]+)'?: (.+)$/.exec(line)) ?? [];

  it('has exact versions, in order', () => {
    expect(entries.length).toBeGreaterThan(10);
    for (const entry of entries)
      expect(entry?.[2]).toMatch(/^(?:npm:[@/\w.-]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/);
    const names = entries.map((entry) => entry?.[1] ?? '');
    expect(names).toEqual([...names].sort());
  });

  it('has nothing that no package uses', () => {
    const manifests = [
      JSON.parse(readText('package.json')),
      ...packages.map(({ manifest }) => manifest),
    ];
    const used = new Set(
      manifests.flatMap((manifest) =>
        Object.keys({
          ...manifest.dependencies,
          ...manifest.devDependencies,
          ...manifest.optionalDependencies,
        }),
      ),
    );
    expect(entries.map((entry) => entry?.[1] ?? '').filter((name) => !used.has(name))).toEqual([]);
  });
});

describe('the root', () => {
  it('pins pnpm and has its hash', async () => {
    const { packageManager } = JSON.parse(readText('package.json'));
    expect(packageManager).toMatch(/^pnpm@\d+\.\d+\.\d+$/);
    expect(readText('tooling/scripts/pnpm-pin.mjs')).toMatch(/pnpm: 'sha512-/);
  });

  it('has every workflow action pinned to a commit', () => {
    const workflows = files.filter((file) => /^\.github\/workflows\/.*\.ya?ml$/.test(file));
    expect(workflows.length).toBeGreaterThan(0);
    const loose = matches(/\buses:\s/, workflows).filter(
      (line) => !/@[0-9a-f]{40} # v\d/.test(line),
    );
    expect(loose).toEqual([]);
  });
});

describe('documents', () => {
  const documents = files.filter(
    (file) => file.endsWith('.md') && !/(?:CHANGELOG|api-report)\.md$/.test(file),
  );

  it('link to files that exist', () => {
    const broken = documents.flatMap((file) =>
      [...readText(file).matchAll(/\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g)]
        .map((match) => match[1] ?? '')
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => {
          const wanted = path.posix.join(path.posix.dirname(file), target).replace(/\/$/, '');
          return !files.some((name) => name === wanted || name.startsWith(`${wanted}/`));
        })
        .map((target) => `${file}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it.each(packages.filter(({ manifest }) => manifest.private !== true))(
    'of $folder have the sections that all have, in their order',
    ({ folder, manifest }) => {
      const all = [
        'Install',
        'Use',
        'What it does',
        'Options',
        'Errors',
        'Events',
        'Mistakes to avoid',
        'Tested with',
      ];
      // Nothing of the testing package stands in a call's way.
      const needed =
        manifest.name === '@resil/testing'
          ? all.filter((name) => !/Errors|Events/.test(name))
          : all;
      const headings = [...readText(`${folder}/README.md`).matchAll(/^## (.+)$/gm)].map(
        (match) => match[1],
      );
      expect(headings.filter((heading) => needed.includes(heading ?? ''))).toEqual(needed);
    },
  );
});
