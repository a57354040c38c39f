/**
 * One Kafka node: broker and controller in a process of its own, with a fault proxy in front of it.
 * Clients are told the proxy's address; brokers and controllers talk to each other directly.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FaultProxy, faultProxy } from '@resil/testing';
import { type KafkaProcess, type KafkaRuntime, KafkaUnavailableError } from './kafka-process.js';

/** Ports of a node. */
export interface KafkaPorts {
  readonly client: number;
  readonly broker: number;
  readonly controller: number;
}

/** What a node is made from. */
export interface KafkaNodeConfig {
  readonly id: number;
  readonly runtime: KafkaRuntime;
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
  #process: KafkaProcess | undefined;

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
    this.#log.length = 0;
    const properties = join(this.#config.folder, 'server.properties');
    const started = await this.#run(['kafka.Kafka', properties], (text) => {
      this.#log.push(...text.split('\n').filter((line) => line !== ''));
      this.#log.splice(0, this.#log.length - 200);
    });
    this.#process = started.process;
    started.ended.then(() => {
      if (this.#process === started.process) this.#process = undefined;
    });
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
    await this.#process?.signal('SIGSTOP');
  }

  /** Lets it go on after {@link pause}. */
  async resume(): Promise<void> {
    await this.#process?.signal('SIGCONT');
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
    let output = '';
    const format = ['kafka.tools.StorageTool', 'format', '--cluster-id', clusterId] as const;
    const { process: formatting } = await this.#run(
      [...format, '--config', join(folder, 'server.properties')],
      (text) => {
        output += text;
      },
    );
    const code = await formatting.exit();
    if (code !== 0) throw new KafkaUnavailableError(`formatting node ${id} failed:\n${output}`);
  }

  async #run(
    main: readonly [string, ...string[]],
    onOutput: (text: string) => void,
  ): Promise<{ process: KafkaProcess; ended: Promise<void> }> {
    const { folder, runtime } = this.#config;
    const options = [
      ...JVM,
      `-Djava.io.tmpdir=${folder}`,
      `-Dlog4j2.configurationFile=${join(folder, 'log4j2.properties')}`,
    ];
    let onExit!: () => void;
    const ended = new Promise<void>((resolve) => {
      onExit = resolve;
    });
    return { process: await runtime.start({ main, options, folder, onOutput, onExit }), ended };
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const running = this.#process;
    if (running === undefined) return;
    const exited = running.exit();
    await running.signal(signal);
    await exited;
    this.#process = undefined;
  }
}
