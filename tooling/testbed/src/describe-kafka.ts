/** Tests that need a broker, where there may be none. */
import { describeWith, type TestRunner, tellPastRunner } from './describe-with.js';
import { kafkaRuntime } from './kafka-runtime.js';

/**
 * Why no broker can be had; `undefined` if one can. Fetches what it needs, and tells what it does on
 * the standard error output.
 */
export async function kafkaMissing(): Promise<string | undefined> {
  if (process.env.KAFKA_BROKERS) return undefined;
  try {
    await kafkaRuntime(tellPastRunner);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Declares a suite that needs a broker. Without one it holds one test, which is skipped, and fails under `CI=true`. */
export function describeWithKafka(
  runner: TestRunner,
  missing: string | undefined,
  name: string,
  body: () => void,
): void {
  describeWith(runner, { what: 'a Kafka broker', missing }, name, body);
}
