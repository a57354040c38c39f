/**
 * Kafka's programs in Docker, by testcontainers: it finds the engine, and its reaper removes what is left
 * when this process has ended. Containers use the host's network, because brokers and their clients must
 * know each other by the same addresses, and the engine has to be this machine's own for that.
 */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerRuntimeClient } from 'testcontainers';
import {
  type KafkaProcess,
  type KafkaProgram,
  type KafkaRuntime,
  kafkaVersion,
} from './kafka-process.js';

/** Longest time that the engine gets to fetch the image, in ms. */
const IMAGE_TIMEOUT = 180_000;
/** Longest time that it gets for anything else. */
const ENGINE_TIMEOUT = 20_000;
const LOCAL = ['localhost', '127.0.0.1', '::1'];

/**
 * Docker, where an engine of this machine answers and has the image, or can fetch it in time. `undefined`
 * elsewhere; says why, if an engine answers.
 */
export async function dockerRuntime(
  onProgress: (message: string) => void,
  imageTimeout: number = IMAGE_TIMEOUT,
): Promise<KafkaRuntime | undefined> {
  // Elsewhere the engine lives in a virtual machine, with a network of its own.
  if (process.platform !== 'linux') return undefined;
  // Loaded where it may be needed: it is as big as all the rest.
  const { getContainerRuntimeClient, getReaper, ImageName } = await import('testcontainers');
  const engine = await within(ENGINE_TIMEOUT, getContainerRuntimeClient()).catch(() => undefined);
  if (engine === undefined) return undefined;
  const image = ImageName.fromString(`apache/kafka:${kafkaVersion}`).string;
  try {
    refuseForeign(engine);
    await fetchImage(engine, image, imageTimeout, onProgress);
    // Without it a container would outlive us.
    await within(imageTimeout, getReaper(engine));
  } catch (error) {
    onProgress(
      `Docker answers, but can't run Kafka (${(error as Error).message}); going on without it`,
    );
    return undefined;
  }
  return { kind: 'docker', start: (program) => launch(engine, image, program) };
}

function refuseForeign({ info }: ContainerRuntimeClient): void {
  const { host, operatingSystem } = info.containerRuntime;
  if (!LOCAL.includes(host) || operatingSystem === 'Docker Desktop') {
    throw new Error(`its network is not that of this machine: ${host}, ${operatingSystem}`);
  }
}

/** Without testcontainers' own `pull`, which can't be ended and doesn't tell of what failed half way. */
async function fetchImage(
  engine: ContainerRuntimeClient,
  image: string,
  timeout: number,
  onProgress: (message: string) => void,
): Promise<void> {
  const { dockerode } = engine.container;
  const there = await within(ENGINE_TIMEOUT, dockerode.getImage(image).inspect()).catch(
    () => false,
  );
  if (there !== false) return;
  onProgress(`fetching ${image} with Docker (once)`);
  const late = new Error(`${image} was not there within ${timeout} ms`);
  const ended = new AbortController();
  const timer = setTimeout(() => ended.abort(late), timeout);
  try {
    const stream = await dockerode.pull(image, { abortSignal: ended.signal });
    await new Promise((resolve, reject) => {
      ended.signal.addEventListener('abort', () => reject(late));
      stream.on('error', reject);
      dockerode.modem.followProgress(stream, (broken, steps: { error?: string }[]) => {
        const failed = steps?.find(({ error }) => error !== undefined);
        if (broken) reject(broken);
        else if (failed !== undefined) reject(new Error(failed.error));
        else resolve(steps);
      });
    });
  } catch (error) {
    throw ended.signal.aborted ? late : error;
  } finally {
    clearTimeout(timer);
  }
}

async function launch(
  engine: ContainerRuntimeClient,
  image: string,
  { main, options, folder, onOutput, onExit }: KafkaProgram,
): Promise<KafkaProcess> {
  const { GenericContainer } = await import('testcontainers');
  const started = await new GenericContainer(image)
    .withNetworkMode('host')
    .withBindMounts([{ source: folder, target: folder }])
    .withUser(`${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`)
    .withWorkingDir(folder)
    .withEntrypoint(['java'])
    .withCommand([...options, '-cp', '/opt/kafka/libs/*', ...main])
    .withLogConsumer((stream: Readable) => stream.on('data', (text) => onOutput(String(text))))
    .start();
  const container = engine.container.getById(started.getId());
  const { State } = await container.inspect();
  const exited = container.wait().then(async ({ StatusCode }: { StatusCode: number }) => {
    // The rest of its output is on the way.
    await sleep(100);
    await container.remove({ force: true }).catch(() => {});
    // 128 and the signal's number, as in a shell.
    return StatusCode > 128 ? null : StatusCode;
  });
  exited.then(onExit, onExit);
  return {
    pid: State.Pid,
    signal: async (signal) => {
      if (signal === 'SIGSTOP') await container.pause();
      else if (signal === 'SIGCONT') await container.unpause().catch(() => {});
      else await container.kill({ signal });
    },
    exit: () => exited,
  };
}

async function within<T>(duration: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${duration} ms`)), duration);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
