/**
 * Kafka's programs on this machine's own Java: the broker with its dependencies comes from Maven Central,
 * fetched once by Maven into a cache outside the tree.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { cacheFolder } from './cache-folder.js';
import {
  type KafkaProcess,
  type KafkaProgram,
  type KafkaRuntime,
  KafkaUnavailableError,
  kafkaVersion,
} from './kafka-process.js';
import { KILL, spawnOnLeash } from './leash.js';

const run = promisify(execFile);

const OLDEST_JAVA = 17;
/** Longest time that Maven gets to fetch, in ms. */
const FETCH_TIMEOUT = 300_000;

/** Finds Java, and finds or fetches the broker. */
export async function javaRuntime(onProgress: (message: string) => void): Promise<KafkaRuntime> {
  const java = await findJava();
  const classPath = join(await fetched(onProgress), '*');
  return {
    kind: 'java',
    start: async (program) => launch(java, classPath, program),
  };
}

function launch(java: string, classPath: string, program: KafkaProgram): KafkaProcess {
  const { main, options, folder, onOutput, onExit } = program;
  const child = spawnOnLeash([java, ...options, '-cp', classPath, ...main], KILL, {
    cwd: folder,
    stdout: 'pipe',
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', onOutput);
    (stream as Socket | null)?.unref();
  }
  // All of its output is there by then.
  const exited = once(child, 'close').then(([code]) => code as number | null);
  exited.then(onExit, onExit);
  child.unref();
  return {
    pid: child.pid,
    signal: async (signal) => {
      child.kill(signal);
      if (signal === 'SIGSTOP' && child.pid !== undefined) await stopped(child.pid);
    },
    exit: () => {
      child.ref();
      return exited;
    },
  };
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

const REMEDY = `set KAFKA_BROKERS to a cluster's addresses, start Docker, or install Java ${OLDEST_JAVA} or newer and Maven (Debian: apt-get install openjdk-17-jre-headless maven)`;

async function findJava(): Promise<string> {
  const java =
    process.env.JAVA_HOME === undefined ? 'java' : join(process.env.JAVA_HOME, 'bin', 'java');
  const told = await run(java, ['-version']).catch((error: unknown) => {
    throw new KafkaUnavailableError(`there is no Java (${java}); ${REMEDY}`, error);
  });
  const version = Number(/version "(\d+)/.exec(told.stderr)?.[1]);
  if (!(version >= OLDEST_JAVA)) {
    throw new KafkaUnavailableError(`Java ${version} is too old; ${REMEDY}`);
  }
  return java;
}

/** The folder with the broker's jars; fetched if they are not there yet. */
async function fetched(onProgress: (message: string) => void): Promise<string> {
  const cache = cacheFolder();
  const libs = join(cache, `kafka-${kafkaVersion}`);
  if (await exists(libs)) return libs;
  onProgress(`fetching Apache Kafka ${kafkaVersion} with Maven (44 MB, once, kept in ${libs})`);
  await mkdir(cache, { recursive: true });
  const scratch = await mkdtemp(join(cache, 'kafka-fetching-'));
  try {
    await writeFile(join(scratch, 'pom.xml'), POM);
    const args = ['-B', '-q', '-f', join(scratch, 'pom.xml'), 'dependency:copy-dependencies'];
    const to = [`-DoutputDirectory=${join(scratch, 'libs')}`, '-DincludeScope=runtime'];
    await run('mvn', [...args, ...to], { cwd: scratch, timeout: FETCH_TIMEOUT });
    const jars = await readdir(join(scratch, 'libs'));
    if (!jars.includes(`kafka_2.13-${kafkaVersion}.jar`)) {
      throw new KafkaUnavailableError('Maven brought no broker');
    }
    await rename(join(scratch, 'libs'), libs).catch(async (error: unknown) => {
      // Another process was quicker.
      if (!(await exists(libs))) throw error;
    });
    return libs;
  } catch (error) {
    if (error instanceof KafkaUnavailableError) throw error;
    const { code, stdout, stderr } = error as { code?: string; stdout?: string; stderr?: string };
    const reason =
      code === 'ENOENT' ? 'there is no Maven (mvn)' : `Maven failed: ${stdout ?? stderr ?? error}`;
    throw new KafkaUnavailableError(`${reason}; ${REMEDY}`, error);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The broker, and what writes its log to the console. */
const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>resil</groupId><artifactId>testbed</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${kafkaVersion}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency>
  </dependencies>
</project>
`;

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
