/**
 * A PostgreSQL server of one's own: a real one, in a process of its own, on a free port of the
 * loopback, with its data in a temporary folder, made to be killed, stopped and frozen.
 *
 * Acknowledged commits survive `kill()`: `synchronous_commit` and `full_page_writes` stay on, so a
 * commit has been handed to the operating system before it is answered, and the death of a process
 * takes nothing from there. `fsync` is off: it guards against the loss of the machine, which no test
 * causes, and costs most of the time.
 *
 * Nothing survives the process that started it, however that ends: neither the server nor its folder.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, cp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from './free-ports.js';
import { type Ending, FolderOnLeash, spawnOnLeash } from './leash.js';
import {
  identity,
  ownFolder,
  type PostgresFiles,
  PostgresUnavailableError,
  postgresFiles,
  serverEnvironment,
} from './postgres-files.js';
import { childrenOf, gone, signalAll } from './process-tree.js';

/** How a server is asked to stop, as in `pg_ctl stop -m`. */
export type StopMode = 'smart' | 'fast' | 'immediate';

/** What a server can be started with. */
export interface PostgresOptions {
  /** Most connections it takes. Default: 100. */
  readonly maxConnections?: number;
  /** More settings, as in `postgresql.conf`. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** Certificate and key (PEM); with them the server also takes TLS connections. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /**
   * Makes it a standby that streams from this server. Both begin as copies of one data folder, which is
   * what a base backup of the primary before its first start would be; the primary keeps its WAL.
   */
  readonly standbyOf?: PostgresServer;
  /** Told what is being done where it may take a while. Default: nobody. */
  readonly onProgress?: (message: string) => void;
}

const STOP_SIGNAL: Readonly<Record<StopMode, NodeJS.Signals>> = {
  smart: 'SIGTERM',
  fast: 'SIGINT',
  immediate: 'SIGQUIT',
};

/**
 * At once, with all backends: those of a postmaster that was killed would go on while they are frozen.
 * It kills them itself after five seconds.
 */
const QUIT: Ending = `
kill -CONT "$pid"
kill -QUIT "$pid"
n=0
while kill -0 "$pid" && [ $n -lt 80 ]; do sleep 0.1; n=$((n+1)); done
kill -KILL "$pid"`;

/** Starts a server and gives it back when it takes connections. Throws `PostgresUnavailableError` where there can be none. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const files = await postgresFiles(options.onProgress ?? (() => {}));
  const folder = await ownFolder(join(files.home, 'server-'), files.user);
  const server = new PostgresServer(files, folder, options);
  try {
    await server.prepare();
    await server.start();
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

/** A running server. `close()` it at the end. */
export class PostgresServer {
  readonly host = '127.0.0.1';
  readonly user = 'postgres';
  readonly database = 'postgres';
  readonly #files: PostgresFiles;
  readonly #folder: string;
  readonly #options: PostgresOptions;
  readonly #log: string[] = [];
  #port = 0;
  #process: ChildProcess | undefined;
  readonly #leash: FolderOnLeash;
  #frozen: number[] = [];

  /** Use {@link startPostgres}. */
  constructor(files: PostgresFiles, folder: string, options: PostgresOptions) {
    this.#files = files;
    this.#folder = folder;
    this.#options = options;
    this.#leash = new FolderOnLeash(folder);
  }

  /** The port; it stays the same when the server is started again. */
  get port(): number {
    return this.#port;
  }

  /** What `new pg.Pool(...)` needs to connect. */
  get connection(): { host: string; port: number; user: string; database: string } {
    return { host: this.host, port: this.#port, user: this.user, database: this.database };
  }

  /** A connection URL. */
  get connectionString(): string {
    return `postgres://${this.user}@${this.host}:${this.#port}/${this.database}`;
  }

  /** Process id of the postmaster; `undefined` while the server is down. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Version of PostgreSQL. */
  get version(): string {
    return this.#files.version;
  }

  /** The last lines that the server wrote. */
  get log(): readonly string[] {
    return this.#log;
  }

  /** Fills the server's folder. */
  async prepare(): Promise<void> {
    const data = join(this.#folder, 'data');
    await cp(this.#files.template, data, { recursive: true, preserveTimestamps: false });
    const { tls } = this.#options;
    if (tls !== undefined) {
      await writeFile(join(data, 'server.crt'), tls.cert, { mode: 0o600 });
      await writeFile(join(data, 'server.key'), tls.key, { mode: 0o600 });
    }
    if (this.#options.standbyOf !== undefined) await writeFile(join(data, 'standby.signal'), '');
    if (this.#files.user !== undefined) await own(data, this.#files.user);
  }

  /** Starts it (again), on the same port, and waits until it takes connections. */
  async start(): Promise<void> {
    if (this.#process !== undefined) return;
    for (let attempt = 1; ; attempt += 1) {
      const first = this.#port === 0;
      if (first) [this.#port] = (await freePorts(1)) as [number];
      try {
        await this.#launch();
        return;
      } catch (error) {
        // Somebody may have taken the free port in between.
        if (!first || attempt === 5 || !this.#log.some((line) => line.includes('already in use')))
          throw error;
        this.#port = 0;
      }
    }
  }

  /** Stops it as `pg_ctl stop -m` does, and waits until it is down. `smart` waits for all clients to leave. */
  async stop(mode: StopMode = 'fast'): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const exited = exitOf(child);
    child.kill(STOP_SIGNAL[mode]);
    await exited;
  }

  /** Stops it and starts it again on the same port. */
  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.stop(mode);
    await this.start();
  }

  /** SIGKILLs the postmaster and every backend at once, as a crash does. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child?.pid === undefined) return;
    const exited = exitOf(child);
    // Frozen first, so that it can't fork another child behind our back.
    signalAll([child.pid], 'SIGSTOP');
    const pids = [child.pid, ...(await childrenOf(child.pid))];
    signalAll(pids, 'SIGKILL');
    await exited;
    const left = await gone(pids, 5_000);
    if (left.length > 0)
      throw new Error(`processes ${left.join(', ')} of PostgreSQL survived SIGKILL`);
    this.#frozen = [];
  }

  /** SIGSTOPs the postmaster and every backend: connections stay open, and nothing answers. */
  async pause(): Promise<void> {
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    signalAll([pid], 'SIGSTOP');
    this.#frozen = [pid, ...(await childrenOf(pid))];
    signalAll(this.#frozen, 'SIGSTOP');
  }

  /** Lets it go on after {@link pause}. */
  resume(): void {
    signalAll(this.#frozen, 'SIGCONT');
    this.#frozen = [];
  }

  /** Stops it for good and removes its data. */
  async close(): Promise<void> {
    this.resume();
    await this.stop('immediate');
    await this.#leash.remove();
  }

  async #launch(): Promise<void> {
    const { tls, maxConnections = 100, settings = {}, standbyOf } = this.#options;
    const all: Record<string, string | number | boolean> = {
      listen_addresses: this.host,
      port: this.#port,
      unix_socket_directories: '',
      max_connections: maxConnections,
      fsync: false,
      // In the data folder rather than /dev/shm, where a SIGKILL would leave it behind.
      dynamic_shared_memory_type: 'mmap',
      shared_buffers: '16MB',
      max_wal_size: '64MB',
      autovacuum: false,
      io_method: 'sync',
      // For standbys, which begin where the primary began.
      wal_keep_size: '1GB',
      ...(tls === undefined ? {} : { ssl: true }),
      ...(standbyOf === undefined ? {} : { primary_conninfo: conninfoOf(standbyOf) }),
      ...settings,
    };
    const values = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const command = [this.#files.postgres, '-D', join(this.#folder, 'data'), ...values] as const;
    const child = spawnOnLeash(command, QUIT, {
      ...identity(this.#files.user),
      env: serverEnvironment,
      cwd: this.#folder,
      stdout: 'ignore',
    });
    this.#process = child;
    this.#log.length = 0;
    await new Promise<void>((resolve, reject) => {
      child.once('error', (error) => {
        this.#process = undefined;
        reject(new PostgresUnavailableError(`${this.#files.postgres} does not run here`, error));
      });
      child.once('exit', (code, signal) => {
        if (this.#process === child) this.#process = undefined;
        reject(
          new PostgresUnavailableError(
            `the server ended with ${signal ?? code}:\n${this.#log.join('\n')}`,
          ),
        );
      });
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        this.#log.push(...text.split('\n').filter((line) => line !== ''));
        this.#log.splice(0, this.#log.length - 200);
        if (/ready to accept (?:read-only )?connections/.test(text)) resolve();
      });
    });
    child.unref();
    (child.stderr as unknown as { unref?(): void } | null)?.unref?.();
  }
}

/** How a standby reaches its primary. */
function conninfoOf({ host, port, user }: PostgresServer): string {
  return `host=${host} port=${port} user=${user} application_name=standby`;
}

/** Gives a folder and all that is in it to the server's user. */
async function own(
  folder: string,
  user: { readonly uid: number; readonly gid: number },
): Promise<void> {
  const entries = await readdir(folder, { recursive: true });
  await chown(folder, user.uid, user.gid);
  await Promise.all(entries.map((entry) => chown(join(folder, entry), user.uid, user.gid)));
}

/** Waits for the end of a process that is not waited for otherwise. */
async function exitOf(child: ChildProcess): Promise<void> {
  child.ref();
  await once(child, 'exit');
}
