/**
 * One Kafka node: broker and controller in a process of its own, with a fault proxy in front of it.
 * Clients are told the proxy's address; brokers and controllers talk to each other directly.
 */
import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type FaultProxy, faultProxy } from '@resil/testing';
import { type KafkaFiles, KafkaUnavailableError, kafkaVersion } from './kafka-files.js';

const run = promisify(execFile);

/** Ports of a node. */
export interface KafkaPorts {
  readonly client: number;
  readonly broker: number;
  readonly controller: number;
}

/** What a node is made from. */
export interface KafkaNodeConfig {
  readonly id: number;
  readonly files: KafkaFiles;
  readonly clusterId: string;
  /** A folder of its own, inside the cluster's. */
  readonly folder: string;
  readonly ports: KafkaPorts;
  /** `id@host:port` of every controller. */
  readonly voters: string;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
}

const HOST = '127.0.0.1';
const LOG = `status=error
appender.c.type=Console
appender.c.name=c
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d{HH:mm:ss,SSS} %p %m%n
rootLogger.level=warn
rootLogger.appenderRef.c.ref=c
`;
/** Small, and quick to start rather than quick in the long run. */
const JVM = [
  '-Xms64m',
  '-Xmx384m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-XX:-UsePerfData',
  '-Xshare:auto',
];

/** A node of a cluster. */
export class KafkaNode {
  readonly id: number;
  readonly proxy: FaultProxy;
  readonly #config: KafkaNodeConfig;
  readonly #log: string[] = [];
  #process: ChildProcess | undefined;
  #name = '';
  #starts = 0;

  private constructor(config: KafkaNodeConfig, proxy: FaultProxy) {
    this.id = config.id;
    this.proxy = proxy;
    this.#config = config;
  }

  /** Writes the node's configuration and formats its storage. */
  static async create(config: KafkaNodeConfig): Promise<KafkaNode> {
    const proxy = await faultProxy({ target: { host: HOST, port: config.ports.client } });
    const node = new KafkaNode(config, proxy);
    try {
      await node.#format();
      return node;
    } catch (error) {
      await proxy.close();
      throw error;
    }
  }

  /** Where clients connect to: the proxy. */
  get address(): string {
    return `${this.proxy.host}:${this.proxy.port}`;
  }

  /** The broker itself, past the proxy. Clients are sent on to the proxy by what it tells of itself. */
  get directAddress(): string {
    return `${HOST}:${this.#config.ports.client}`;
  }

  /** Process id; `undefined` while the node is down. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** The last lines that the node wrote. */
  get log(): readonly string[] {
    return this.#log;
  }

  /** Starts its process (again). It takes part in the cluster a little later. */
  async start(): Promise<void> {
    if (this.#process !== undefined) return;
    this.#starts += 1;
    this.#log.length = 0;
    const child = this.#spawn(['kafka.Kafka', join(this.#config.folder, 'server.properties')]);
    this.#process = child;
    child.once('exit', () => {
      if (this.#process === child) this.#process = undefined;
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log.push(...text.split('\n').filter((line) => line !== ''));
        this.#log.splice(0, this.#log.length - 200);
      });
      (stream as unknown as { unref?(): void } | null)?.unref?.();
    }
    child.unref();
    await Promise.race([
      once(child, 'spawn'),
      once(child, 'error').then(([error]) => {
        throw new KafkaUnavailableError('java does not run here', error);
      }),
    ]);
    await writeFile(join(this.#config.folder, 'pid'), `${child.pid}\n${this.#name}\n`);
  }

  /** SIGKILLs it, as a crash does. What it had acknowledged is with the operating system. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Stops it in an orderly way: leaders are moved first. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** SIGSTOPs it: connections stay open, and nothing answers. */
  async pause(): Promise<void> {
    await this.#signal('SIGSTOP');
    const { pid } = this;
    if (pid !== undefined && this.#config.files.java !== undefined) await stopped(pid);
  }

  /** Lets it go on after {@link pause}. */
  async resume(): Promise<void> {
    await this.#signal('SIGCONT');
  }

  /** Kills it for good. */
  async close(): Promise<void> {
    await this.kill();
    await this.proxy.close();
  }

  /** Throws if the process has ended. */
  check(): void {
    if (this.#process !== undefined) return;
    throw new KafkaUnavailableError(`node ${this.id} ended:\n${this.#log.join('\n')}`);
  }

  async #format(): Promise<void> {
    const { folder, clusterId, ports, id, voters, settings } = this.#config;
    await mkdir(folder, { recursive: true });
    const listeners = `CLIENT://${HOST}:${ports.client},BROKER://${HOST}:${ports.broker}`;
    const properties = {
      'process.roles': 'broker,controller',
      'node.id': id,
      'controller.quorum.voters': voters,
      listeners: `${listeners},CONTROLLER://${HOST}:${ports.controller}`,
      'advertised.listeners': `CLIENT://${this.address},BROKER://${HOST}:${ports.broker}`,
      'listener.security.protocol.map': 'CLIENT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT',
      'controller.listener.names': 'CONTROLLER',
      'inter.broker.listener.name': 'BROKER',
      'log.dirs': join(folder, 'data'),
      ...settings,
    };
    const text = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`);
    await writeFile(join(folder, 'server.properties'), text.join(''));
    await writeFile(join(folder, 'log4j2.properties'), LOG);
    const child = this.#spawn([
      'kafka.tools.StorageTool',
      'format',
      '--cluster-id',
      clusterId,
      '--config',
      join(folder, 'server.properties'),
    ]);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk;
      });
    }
    const [code] = await once(child, 'close').catch((error: unknown) => {
      throw new KafkaUnavailableError('java does not run here', error);
    });
    if (code !== 0) throw new KafkaUnavailableError(`formatting node ${id} failed:\n${output}`);
  }

  #spawn(main: readonly string[]): ChildProcess {
    const { files, folder, clusterId, id } = this.#config;
    const options = [
      ...JVM,
      `-Djava.io.tmpdir=${folder}`,
      `-Dlog4j2.configurationFile=${join(folder, 'log4j2.properties')}`,
    ];
    // Away from the terminal's Ctrl-C; the cluster's watchdog takes care of the end.
    const how: SpawnOptions = { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], detached: true };
    if (files.java !== undefined) {
      return spawn(files.java, [...options, '-cp', files.classPath, ...main], how);
    }
    this.#name = `resil-${clusterId}-${id}-${this.#starts}`;
    const identity = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
    const where = ['--network', 'host', '-v', `${folder}:${folder}`, '--user', identity];
    const image = ['--entrypoint', 'java', `apache/kafka:${kafkaVersion}`];
    return spawn(
      'docker',
      ['run', '--rm', '--name', this.#name, ...where, ...image, ...options].concat(
        ['-cp', '/opt/kafka/libs/*'],
        main,
      ),
      how,
    );
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    child.ref();
    const exited = once(child, 'exit');
    await this.#signal(signal);
    await exited;
    this.#process = undefined;
  }

  async #signal(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    if (this.#config.files.java !== undefined) {
      child.kill(signal);
      return;
    }
    if (signal === 'SIGSTOP') await run('docker', ['pause', this.#name]);
    else if (signal === 'SIGCONT') await run('docker', ['unpause', this.#name]);
    else await run('docker', ['kill', '--signal', signal, this.#name]).catch(() => sleep(0));
  }
}

/** A thread stops when it is looked at next: on a busy machine, one may still answer a request before. */
async function stopped(pid: number): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
    const states = await Promise.all(
      threads.map(async (thread) => {
        const line = await readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8').catch(() => ') T');
        return line.slice(line.lastIndexOf(')') + 2)[0];
      }),
    );
    if (threads.length > 0 && states.every((state) => state === 'T')) return;
    await sleep(10);
    // No /proc: nothing to look at but the clock.
    if (threads.length === 0 && tries === 10) return;
  }
}
