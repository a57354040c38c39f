/**
 * The binaries of Prometheus: those in the path, else the Debian package of the machine's own
 * distribution, fetched once by `apt-get download` and unpacked into a cache outside the tree. Nothing
 * is installed, and no rights are needed.
 */
import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from './cache-folder.js';

const run = promisify(execFile);

/** Longest time that apt gets for one step, in ms. */
const FETCH_TIMEOUT = 180_000;

/** What Prometheus is run from. */
export interface PrometheusFiles {
  /** The server. */
  readonly prometheus: string;
  /** Its tool, which checks and tests rules. */
  readonly promtool: string;
}

/** Prometheus can't be had on this machine. The message says why, and what to do. */
export class PrometheusUnavailableError extends Error {
  constructor(reason: string, cause?: unknown) {
    super(`Prometheus can't be started: ${reason}`, cause === undefined ? undefined : { cause });
    this.name = 'PrometheusUnavailableError';
  }
}

let files: Promise<PrometheusFiles> | undefined;

/** Finds or fetches the files; done once per process, shared between processes. */
export function prometheusFiles(
  onProgress: (message: string) => void = () => {},
): Promise<PrometheusFiles> {
  files ??= prepare(onProgress).catch((error: unknown) => {
    files = undefined;
    throw error;
  });
  return files;
}

async function prepare(onProgress: (message: string) => void): Promise<PrometheusFiles> {
  if (process.platform === 'win32') {
    throw new PrometheusUnavailableError('Windows has no Debian packages; use WSL');
  }
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const found = filesIn(folder);
    if ((await exists(found.prometheus)) && (await exists(found.promtool))) return found;
  }
  const kept = join(cacheFolder(), `prometheus-debian-${process.arch}`);
  if (!(await exists(kept))) await fetchInto(kept, onProgress);
  const fetched = filesIn(join(kept, 'usr', 'bin'));
  await run(fetched.promtool, ['--version']).catch((error: unknown) => {
    throw new PrometheusUnavailableError(`what is in ${kept} does not run; remove it`, error);
  });
  return fetched;
}

function filesIn(folder: string): PrometheusFiles {
  return { prometheus: join(folder, 'prometheus'), promtool: join(folder, 'promtool') };
}

async function fetchInto(kept: string, onProgress: (message: string) => void): Promise<void> {
  onProgress(`fetching Prometheus with apt-get (20 MB, once, kept in ${kept})`);
  const cache = cacheFolder();
  await mkdir(cache, { recursive: true });
  const scratch = await mkdtemp(join(cache, 'prometheus-fetching-'));
  try {
    // A fresh machine or container has no package lists; then they are had for this once.
    await download(scratch, []).catch(async () => {
      await mkdir(join(scratch, 'lists', 'partial'), { recursive: true });
      const own = ['-o', `Dir::State::Lists=${join(scratch, 'lists')}`];
      const caches = ['-o', 'Dir::Cache::pkgcache=', '-o', 'Dir::Cache::srcpkgcache='];
      await aptGet(scratch, [...own, ...caches, 'update']);
      await download(scratch, [...own, ...caches]);
    });
    const name = (await readdir(scratch)).find((file) => file.endsWith('.deb'));
    if (name === undefined) throw new PrometheusUnavailableError('apt-get brought no package');
    const unpacked = join(scratch, 'unpacked');
    await run('dpkg', ['-x', join(scratch, name), unpacked], { timeout: FETCH_TIMEOUT });
    await rename(unpacked, kept).catch(async (error: unknown) => {
      // Another process was quicker.
      if (!(await exists(kept))) throw error;
    });
  } catch (error) {
    if (error instanceof PrometheusUnavailableError) throw error;
    const { code, stderr } = error as { code?: string; stderr?: string };
    const reason =
      code === 'ENOENT' ? 'there is no apt-get or dpkg' : `apt-get failed: ${stderr || error}`;
    throw new PrometheusUnavailableError(
      `${reason}; put prometheus and promtool into the path (https://prometheus.io/download)`,
      error,
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function download(folder: string, options: readonly string[]): Promise<void> {
  return aptGet(folder, [...options, 'download', 'prometheus']);
}

async function aptGet(folder: string, args: readonly string[]): Promise<void> {
  // As root, apt would become a user who may not write into the folder.
  const sandbox = ['-o', 'APT::Sandbox::User=root'];
  await run('apt-get', ['-qq', ...sandbox, ...args], { cwd: folder, timeout: FETCH_TIMEOUT });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
