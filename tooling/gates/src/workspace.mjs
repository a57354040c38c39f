// What the gates look at: the repository's root, its packages, its tracked files.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');

export const readText = (file) => fs.readFileSync(path.join(root, file), 'utf8');

/** Every package of the workspace: its folder relative to the root, and its manifest. */
export function workspacePackages() {
  return ['packages', 'apps', 'tooling'].flatMap((group) =>
    fs
      .readdirSync(path.join(root, group))
      .map((name) => `${group}/${name}`)
      .filter((folder) => fs.existsSync(path.join(root, folder, 'package.json')))
      .map((folder) => ({ folder, manifest: JSON.parse(readText(`${folder}/package.json`)) })),
  );
}

/** Those that users install. */
export const publishedPackages = () =>
  workspacePackages().filter(({ manifest }) => manifest.private !== true);

/** Files git knows or would add (an untracked file is checked before it is committed), sorted. */
export function repositoryFiles() {
  const output = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return output
    .split('\0')
    .filter((file) => file !== '' && fs.existsSync(path.join(root, file)))
    .sort();
}
