// Brings what a fresh clone lacks, with nothing but Node and npm: the pinned pnpm, kept in a cache
// outside the tree, and the locked dependencies.

import './node-version.mjs';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { integrity } from './pnpm-pin.mjs';
import { run, StepError } from './steps.mjs';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
const version = manifest.packageManager.replace(/^pnpm@/, '');

function cacheFolder() {
  const base =
    process.env.RESIL_CACHE_DIR ??
    path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'resil');
  return path.join(base, `pnpm-${version}-${process.platform}-${process.arch}`);
}

/** npm as the user started it; `npm` from the PATH when this wasn't started by npm. */
function npmCommand() {
  const script = process.env.npm_execpath;
  if (script !== undefined && /npm-cli\.c?js$/.test(script)) {
    return [process.execPath, script];
  }
  return ['npm'];
}

/** What npm tells the scripts it runs about itself and our package means nothing to other tools. */
function cleanEnvironment() {
  const env = { ...process.env };
  for (const name of Object.keys(env)) {
    if (/^npm_(lifecycle|package)_|^npm_config_(local_|global_)?prefix$/.test(name)) {
      delete env[name];
    }
  }
  return env;
}

function checkIntegrity(folder) {
  const lock = JSON.parse(
    fs.readFileSync(path.join(folder, 'node_modules/.package-lock.json'), 'utf8'),
  );
  for (const [where, { version: found, integrity: actual }] of Object.entries(lock.packages)) {
    const name = where.replace(/^node_modules\//, '');
    const expected = integrity[name];
    if (found !== version || (expected !== undefined && actual !== expected)) {
      throw new StepError(
        `${name}@${found} from the registry is not the pinned release (${actual}, expected ` +
          `${expected ?? version}). Nothing of it was run. See tooling/scripts/pnpm-pin.mjs.`,
      );
    }
  }
}

/** Installs the pinned pnpm into the cache unless it is there; resolves to its `bin` folder. */
async function bringPnpm() {
  const folder = cacheFolder();
  const bin = path.join(folder, 'node_modules/.bin');
  if (fs.existsSync(path.join(folder, 'complete'))) {
    console.log(`pnpm ${version} is in the cache`);
    return bin;
  }
  fs.mkdirSync(path.dirname(folder), { recursive: true });
  const fresh = fs.mkdtempSync(`${folder}-`);
  try {
    fs.writeFileSync(path.join(fresh, 'package.json'), '{ "private": true }\n');
    const [npm, ...first] = npmCommand();
    const env = cleanEnvironment();
    const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    try {
      await run(npm, [...first, 'install', '--prefix', fresh, ...options, `pnpm@${version}`], {
        cwd: fresh,
        env,
        capture: true,
      });
    } catch (error) {
      throw new StepError(
        `${error.message}\n\npnpm ${version} could not be fetched. It comes from the npm registry ` +
          'that `npm config get registry` names: check that it can be reached from here (network, ' +
          'proxy, access), or set RESIL_CACHE_DIR to a folder that has it already.',
      );
    }
    checkIntegrity(fresh);
    // Its install script puts the native binary where npm's links point; run only after the check.
    await run(process.execPath, [path.join(fresh, 'node_modules/pnpm/install.js')], {
      env,
      capture: true,
    });
    fs.writeFileSync(path.join(fresh, 'complete'), '');
    fs.rmSync(folder, { recursive: true, force: true });
    fs.renameSync(fresh, folder);
  } catch (error) {
    fs.rmSync(fresh, { recursive: true, force: true });
    // Somebody else may have put it there in the meantime.
    if (!fs.existsSync(path.join(folder, 'complete'))) throw error;
  }
  console.log(`pnpm ${version} fetched`);
  return bin;
}

/** Brings pnpm; resolves to the environment in which every tool of this repository runs. */
export async function pnpmEnvironment() {
  const bin = await bringPnpm();
  const env = cleanEnvironment();
  const local = path.join(root, 'node_modules/.bin');
  env.PATH = [bin, local, env.PATH].join(path.delimiter);
  // Part of the key of cached test results: what passed on one Node says nothing about another.
  env.RESIL_NODE_VERSION = process.version;
  env.TURBO_TELEMETRY_DISABLED = '1';
  env.TURBO_NO_UPDATE_NOTIFIER = '1';
  env.DO_NOT_TRACK = '1';
  return env;
}

/**
 * Brings pnpm and the dependencies. Resolves to a function that runs a tool of the repository
 * (`pnpm`, `turbo`, …) at its root, or to undefined when a step failed.
 */
export async function bootstrap(steps) {
  let env;
  const ready =
    (await steps.run(`pnpm ${version}`, async () => {
      env = await pnpmEnvironment();
    })) &&
    (await steps.run('dependencies', async () => {
      const args = ['install', '--frozen-lockfile', '--reporter=append-only'];
      try {
        await run('pnpm', args, { cwd: root, env });
      } catch (error) {
        throw new StepError(
          `${error.message}\n\nThe dependencies could not be installed. If the lines above name a ` +
            'package or a host that could not be reached, check the network and `npm config get ' +
            'registry`; if they say that the lockfile is not up to date, run `npm run pnpm install` ' +
            'and commit pnpm-lock.yaml.',
        );
      }
    }));
  if (!ready) return undefined;
  return (command, args) => run(command, args, { cwd: root, env });
}
