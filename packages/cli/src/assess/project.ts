/** What the files around a service show: its tests, its pipeline of integration, its alerts and runbooks. Read, not run. */
import type { Dirent } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { importsOf } from '../source-graph.js';

/** A file that was read, by its path from the project's root. */
export interface ProjectFile {
  readonly path: string;
  readonly text: string;
}

/** What the files of a project show. */
export interface ProjectFacts {
  /** The folder of the nearest `package.json`, or of the module if there is none. */
  readonly root: string;
  readonly scripts: Readonly<Record<string, string>>;
  /** Tests, with what they import. */
  readonly tests: readonly (ProjectFile & { readonly imports: readonly string[] })[];
  /** Sources that are no tests, with what they import. */
  readonly sources: readonly (ProjectFile & { readonly imports: readonly string[] })[];
  /** Workflows of continuous integration, those of the repository's root too. */
  readonly workflows: readonly ProjectFile[];
  /** Rules of alerts on our metrics. */
  readonly alerts: readonly ProjectFile[];
  /** Dashboards with our metrics. */
  readonly dashboards: readonly ProjectFile[];
  readonly runbooks: readonly ProjectFile[];
  /** Deployments that ask the process for its readiness. */
  readonly probes: readonly ProjectFile[];
  /** Post-mortems that are more than the template. */
  readonly postMortems: readonly ProjectFile[];
}

const MAX_FILES = 5_000;
const MAX_SIZE = 500_000;
const SKIPPED = /^(?:node_modules|dist|build|coverage|\..+)$/;
const TEST = /\.(?:test|spec)\.[cm]?[jt]sx?$|(?:^|\/)(?:test|tests|__tests__)\/.*\.[cm]?[jt]sx?$/;
const SOURCE = /\.[cm]?[jt]sx?$/;
const WORKFLOWS = [
  '.github/workflows',
  '.gitlab-ci.yml',
  '.circleci/config.yml',
  'azure-pipelines.yml',
  'bitbucket-pipelines.yml',
  'Jenkinsfile',
  '.ci',
];

/** Reads the project that a module is in. */
export async function readProject(module: string): Promise<ProjectFacts> {
  const root = await upTo(path.dirname(module), 'package.json');
  const repository = await upTo(root, '.git');
  const files = await filesOf(root);
  const withImports = (file: ProjectFile) => ({ ...file, imports: importsOf(file.text) });
  const tests = files.filter((file) => TEST.test(file.path));
  const sources = files.filter((file) => SOURCE.test(file.path) && !TEST.test(file.path));
  const ofKind = (kind: RegExp, text: RegExp): ProjectFile[] =>
    files.filter((file) => kind.test(file.path) && text.test(file.text));
  return {
    root,
    scripts: await scriptsOf(root),
    tests: tests.map(withImports),
    sources: sources.map(withImports),
    workflows: [
      ...(await workflowsOf(root)),
      ...(repository === root ? [] : await workflowsOf(repository)),
    ],
    alerts: ofKind(/\.(?:ya?ml|json)$/, /^(?=[\s\S]*\bresil_)[\s\S]*\balert['"]?:/),
    dashboards: ofKind(/\.json$/, /^(?=[\s\S]*\bresil_)[\s\S]*"schemaVersion"/),
    probes: ofKind(/\.(?:ya?ml|json)$/, /\breadinessProbe\b/),
    runbooks: ofKind(/\.md$/, /^## How to isolate/m),
    postMortems: ofKind(/post-?mortem[^/]*\.md$/i, /^(?![\s\S]*<what happened>)/),
  };
}

/** The nearest folder above that holds a file; the starting folder if there is none. */
async function upTo(start: string, name: string): Promise<string> {
  for (let folder = start; ; folder = path.dirname(folder)) {
    if ((await stat(path.join(folder, name)).catch(() => undefined)) !== undefined) return folder;
    if (folder === path.dirname(folder)) return start;
  }
}

async function scriptsOf(root: string): Promise<Record<string, string>> {
  const text = await readFile(path.join(root, 'package.json'), 'utf8').catch(() => '{}');
  try {
    return (JSON.parse(text) as { scripts?: Record<string, string> }).scripts ?? {};
  } catch {
    return {};
  }
}

async function workflowsOf(root: string): Promise<ProjectFile[]> {
  const found: ProjectFile[] = [];
  for (const name of WORKFLOWS) {
    const at = path.join(root, name);
    const seen = await stat(at).catch(() => undefined);
    if (seen?.isFile() === true) found.push({ path: name, text: await readFile(at, 'utf8') });
    else if (seen?.isDirectory() === true) {
      const own = await filesOf(at);
      found.push(...own.map((file) => ({ ...file, path: `${name}/${file.path}` })));
    }
  }
  return found;
}

/** The text files of a folder, without what is installed or built. */
async function filesOf(root: string): Promise<ProjectFile[]> {
  const found: ProjectFile[] = [];
  const waiting = [''];
  for (let folder = waiting.shift(); folder !== undefined; folder = waiting.shift()) {
    const entries: Dirent[] = await readdir(path.join(root, folder), { withFileTypes: true });
    // A package within is another project.
    if (folder !== '' && entries.some(({ name }) => name === 'package.json')) continue;
    for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name))) {
      const at = path.posix.join(folder, entry.name);
      if (entry.isDirectory() && !SKIPPED.test(entry.name)) waiting.push(at);
      if (!entry.isFile() || !/\.(?:[cm]?[jt]sx?|json|ya?ml|md)$|^[^.]+$/.test(entry.name))
        continue;
      if (found.length >= MAX_FILES) return found;
      const file = path.join(root, at);
      if ((await stat(file)).size <= MAX_SIZE) {
        found.push({ path: at, text: await readFile(file, 'utf8') });
      }
    }
  }
  return found;
}
