/**
 * What Apache Kafka needs on this machine: a Java runtime, and the broker with its dependencies from
 * Maven Central, fetched once by Maven into a cache outside the tree.
 */
import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from './cache-folder.js';

const run = promisify(execFile);

/** Version of Apache Kafka. */
export const kafkaVersion = '4.3.1';
const OLDEST_JAVA = 17;
/** Longest time that Maven gets to fetch, in ms. */
const FETCH_TIMEOUT = 300_000;

/** What a node is started from. */
export interface KafkaFiles {
  /** The `java` to run; `undefined` where nodes run in Docker. */
  readonly java: string | undefined;
  /** Class path of the broker. */
  readonly classPath: string;
}

/** No broker can be had on this machine. The message says why, and what to do. */
export class KafkaUnavailableError extends Error {
  constructor(reason: string, cause?: unknown) {
    super(`Apache Kafka can't be started: ${reason}`, cause === undefined ? undefined : { cause });
    this.name = 'KafkaUnavailableError';
  }
}

let files: Promise<KafkaFiles> | undefined;

/** Finds or fetches the files; done once per process, shared between processes. */
export function kafkaFiles(onProgress: (message: string) => void): Promise<KafkaFiles> {
  files ??= prepare(onProgress).catch((error: unknown) => {
    files = undefined;
    throw error;
  });
  return files;
}

/** Whether a Docker engine that shares the host's network answers. Elsewhere than on Linux it doesn't. */
export async function dockerAnswers(): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  return run('docker', ['version', '--format', '{{.Server.Version}}'], { timeout: 5_000 }).then(
    ({ stdout }) => stdout.trim() !== '',
    () => false,
  );
}

async function prepare(onProgress: (message: string) => void): Promise<KafkaFiles> {
  if (process.platform === 'win32') {
    throw new KafkaUnavailableError('Windows has no SIGSTOP and SIGKILL; use WSL');
  }
  if (await dockerAnswers()) return { java: undefined, classPath: '' };
  const java = await findJava();
  return { java, classPath: join(await fetched(onProgress), '*') };
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
