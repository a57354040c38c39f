// Each package as a user gets it: packed, looked at, checked by publint and attw.

import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { publishedPackages, root } from '../src/workspace.mjs';

const attw = path.join(
  path.dirname(createRequire(import.meta.url).resolve('@arethetypeswrong/cli/package.json')),
  'dist/index.js',
);

/** What each adapter wraps, which its users bring. */
const hosts: Record<string, string> = {
  '@resil/axios': 'axios',
  '@resil/grpc': '@grpc/grpc-js',
  '@resil/kafkajs': 'kafkajs',
  '@resil/opentelemetry': '@opentelemetry/api',
  '@resil/pg': 'pg',
  '@resil/prometheus': 'prom-client',
};

/** What else a package of ours is made with. */
const libraries: Record<string, readonly string[]> = {
  '@resil/cli': [
    '@resil/telemetry',
    'commander',
    'es-module-lexer',
    'eventsource-parser',
    'picocolors',
    'yaml',
  ],
  '@resil/opentelemetry': ['@resil/telemetry'],
  '@resil/prometheus': ['@resil/telemetry'],
};

const exists = (folder: string, file: string) => fs.existsSync(path.join(root, folder, file));

describe.each(publishedPackages())('$folder packed', ({ folder, manifest }) => {
  let scratch: string;
  let tarball: string;
  let unpacked: string;
  let packed: Record<string, unknown>;
  let files: string[];

  beforeAll(() => {
    scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'resil-pack-'));
    execFileSync('pnpm', ['pack', '--pack-destination', scratch], {
      cwd: path.join(root, folder),
      stdio: 'pipe',
    });
    const name = fs.readdirSync(scratch).find((file) => file.endsWith('.tgz'));
    if (name === undefined) throw new Error(`pnpm pack made no tarball of ${folder}`);
    tarball = path.join(scratch, name);
    execFileSync('tar', ['-xzf', tarball, '-C', scratch]);
    unpacked = path.join(scratch, 'package');
    packed = JSON.parse(fs.readFileSync(path.join(unpacked, 'package.json'), 'utf8'));
    files = fs
      .readdirSync(unpacked, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(unpacked, path.join(entry.parentPath, entry.name)));
  });

  afterAll(() => fs.rmSync(scratch, { recursive: true, force: true }));

  it('has no finding of publint', async () => {
    const { messages } = await publint({ pkgDir: unpacked, pack: false, strict: true });
    expect(messages.map((message) => formatMessage(message, packed, { color: false }))).toEqual([]);
  });

  it('resolves everywhere, says attw (esm-only)', () => {
    const options = ['--profile', 'esm-only', '--no-color', '--no-emoji', '--format', 'ascii'];
    const { status, stdout, stderr } = spawnSync(process.execPath, [attw, tarball, ...options], {
      encoding: 'utf8',
    });
    expect(status, `${stdout}${stderr}`).toBe(0);
  }, 120_000);

  it('holds its README, licence and build, and nothing else', () => {
    expect(files).toContain('README.md');
    expect(files).toContain('LICENSE');
    expect(files).toContain(path.join('dist', 'index.js'));
    expect(files).toContain(path.join('dist', 'index.d.ts'));
    const others = files.filter(
      (file) =>
        !/^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(file) &&
        !/^dist[\\/].*(?<!\.test|\.test-d)\.(?:js|d\.ts)$/.test(file),
    );
    expect(others).toEqual([]);
  });

  it('has no file of a source that is gone', () => {
    const orphans = files
      .filter((file) => /^dist[\\/]/.test(file))
      .map((file) => file.replace(/^dist/, 'src').replace(/\.(?:d\.ts|js)$/, ''))
      // A file of its own, or a folder that is bundled into one.
      .filter((source) => !exists(folder, `${source}.ts`) && !exists(folder, `${source}/main.ts`));
    expect(orphans, 'remove dist/ and build again').toEqual([]);
  });

  it('names no file that only the workspace has', () => {
    expect(JSON.stringify(packed.exports)).not.toContain('@resil/source');
    expect(JSON.stringify(packed.exports)).not.toContain('src/');
    expect(JSON.stringify(packed)).not.toMatch(/"(?:workspace|catalog):/);
  });

  it('declares what every package of ours declares', () => {
    expect(packed).toMatchObject({
      type: 'module',
      sideEffects: false,
      license: 'MIT',
      engines: { node: '>=20.19' },
      publishConfig: { access: 'public', provenance: true },
      repository: { directory: folder },
    });
    expect(Object.keys(packed.exports as object)).toEqual(['.', './package.json']);
  });

  it('depends on the core alone, and the core on nothing', () => {
    const own = libraries[manifest.name] ?? [];
    const allowed = manifest.name === '@resil/core' ? [] : ['@resil/core', ...own];
    expect(Object.keys(packed.dependencies ?? {})).toEqual(allowed);
    const host = hosts[manifest.name];
    if (host !== undefined) expect(Object.keys(packed.peerDependencies ?? {})).toEqual([host]);
    expect(packed.optionalDependencies).toBeUndefined();
  });
});
