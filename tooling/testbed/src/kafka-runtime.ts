/** Chooses what Kafka's nodes run on: Docker, or Java. */
import { dockerRuntime } from './kafka-docker.js';
import { javaRuntime } from './kafka-java.js';
import { type KafkaRuntime, KafkaUnavailableError } from './kafka-process.js';

let runtime: Promise<KafkaRuntime> | undefined;

/** Finds or fetches what is needed; done once per process. Throws `KafkaUnavailableError` where nothing can be had. */
export function kafkaRuntime(onProgress: (message: string) => void): Promise<KafkaRuntime> {
  runtime ??= choose(onProgress).catch((error: unknown) => {
    runtime = undefined;
    throw error;
  });
  return runtime;
}

async function choose(onProgress: (message: string) => void): Promise<KafkaRuntime> {
  if (process.platform === 'win32') {
    throw new KafkaUnavailableError('Windows has no SIGSTOP and SIGKILL; use WSL');
  }
  return (await dockerRuntime(onProgress)) ?? javaRuntime(onProgress);
}
