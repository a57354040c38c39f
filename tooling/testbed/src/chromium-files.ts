/**
 * A Chromium for tests of pages: that of `CHROMIUM_PATH`, else one in the path, else the headless one
 * that the npm package `@sparticuz/chromium` carries with the libraries and fonts it needs, fetched once
 * into a cache outside the tree.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { access, chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createBrotliDecompress } from 'node:zlib';
import { cacheFolder } from './cache-folder.js';

const run = promisify(execFile);

const VERSION = '153.0.0';
const INTEGRITY =
  'sha512-jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA==';
/** Longest time that one step may take, in ms. */
const FETCH_TIMEOUT = 300_000;

/** What a browser is started from. */
export interface ChromiumFiles {
  readonly executable: string;
  /** What its process needs in the environment, beside what is there. */
  readonly env: Readonly<Record<string, string>>;
  /** Arguments to start it with: headless, and asking nobody for anything. */
  readonly args: readonly string[];
}

/** No Chromium can be had on this machine. The message says why, and what to do. */
export class ChromiumUnavailableError extends Error {
  constructor(reason: string, cause?: unknown) {
    super(
      `Chromium can't be had: ${reason}; set CHROMIUM_PATH, or install it (Debian: apt-get install chromium)`,
      cause === undefined ? undefined : { cause },
    );
    this.name = 'ChromiumUnavailableError';
  }
}

const ARGS = [
  '--headless',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];
/** As root there is no sandbox to be had; nothing but the test's own page is looked at. */
const args: readonly string[] = process.getuid?.() === 0 ? ['--no-sandbox', ...ARGS] : ARGS;

let files: Promise<ChromiumFiles> | undefined;

/** Finds or fetches the files; done once per process, shared between processes. */
export function chromiumFiles(
  onProgress: (message: string) => void = () => {},
): Promise<ChromiumFiles> {
  files ??= prepare(onProgress).catch((error: unknown) => {
    files = undefined;
    throw error;
  });
  return files;
}

async function prepare(onProgress: (message: string) => void): Promise<ChromiumFiles> {
  const { CHROMIUM_PATH, PATH = '' } = process.env;
  if (CHROMIUM_PATH) {
    if (await exists(CHROMIUM_PATH)) return { executable: CHROMIUM_PATH, env: {}, args };
    throw new ChromiumUnavailableError(`CHROMIUM_PATH is ${CHROMIUM_PATH}, which is not there`);
  }
  for (const folder of PATH.split(delimiter)) {
    for (const name of ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']) {
      if (await exists(join(folder, name)))
        return { executable: join(folder, name), env: {}, args };
    }
  }
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new ChromiumUnavailableError(`none is fetched for ${process.platform} ${process.arch}`);
  const folder = join(cacheFolder(), `chromium-${VERSION}`);
  if (!(await exists(folder))) await fetchInto(folder, onProgress);
  return {
    executable: join(folder, 'chromium'),
    env: { LD_LIBRARY_PATH: join(folder, 'lib'), FONTCONFIG_PATH: folder },
    args,
  };
}

async function fetchInto(kept: string, onProgress: (message: string) => void): Promise<void> {
  onProgress(`fetching Chromium ${VERSION} with npm (70 MB, once, kept in ${kept})`);
  await mkdir(cacheFolder(), { recursive: true });
  const scratch = await mkdtemp(join(cacheFolder(), 'chromium-fetching-'));
  try {
    const options = { cwd: scratch, timeout: FETCH_TIMEOUT };
    await run('npm', ['pack', '--silent', `@sparticuz/chromium@${VERSION}`], options);
    const tarball = join(scratch, `sparticuz-chromium-${VERSION}.tgz`);
    const digest = createHash('sha512').update(await readFile(tarball));
    if (`sha512-${digest.digest('base64')}` !== INTEGRITY)
      throw new ChromiumUnavailableError('what npm brought is not what was expected');
    await run('tar', ['-xzf', tarball, '-C', scratch], options);
    const unpacked = join(scratch, 'unpacked');
    await mkdir(unpacked);
    const bin = join(scratch, 'package', 'bin');
    await inflate(join(bin, 'chromium.br'), join(unpacked, 'chromium'));
    await chmod(join(unpacked, 'chromium'), 0o755);
    // Libraries in lib, what draws without a graphics card, and fonts.
    for (const name of ['al2023.tar', 'swiftshader.tar', 'fonts.tar']) {
      await inflate(join(bin, `${name}.br`), join(scratch, name));
      await run('tar', ['-xf', join(scratch, name), '-C', unpacked], options);
    }
    const fonts = `<fontconfig><dir>${join(kept, 'fonts')}</dir></fontconfig>\n`;
    await writeFile(join(unpacked, 'fonts.conf'), fonts);
    await rename(unpacked, kept).catch(async (error: unknown) => {
      // Another process was quicker.
      if (!(await exists(kept))) throw error;
    });
  } catch (error) {
    if (error instanceof ChromiumUnavailableError) throw error;
    const { stderr } = error as { stderr?: string };
    throw new ChromiumUnavailableError(`fetching it failed: ${stderr || error}`, error);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function inflate(from: string, to: string): Promise<void> {
  await pipeline(createReadStream(from), createBrotliDecompress(), createWriteStream(to));
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
