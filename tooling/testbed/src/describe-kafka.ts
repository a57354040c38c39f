/**
 * Tests that need a broker, where there may be none: loudly skipped on a developer's machine, failed
 * under `CI=true`.
 */
import { writeSync } from 'node:fs';
import { kafkaFiles } from './kafka-files.js';

/** Declares tests; what vitest gives (`describe`, `it`) or any other runner of that shape. */
export interface KafkaTestRunner {
  describe(name: string, body: () => void): unknown;
  it(name: string, body: (context: { skip(note?: string): unknown }) => void): unknown;
}

/**
 * Why no broker can be had; `undefined` if one can. Fetches what it needs, and tells what it does on
 * the standard error output.
 */
export async function kafkaMissing(): Promise<string | undefined> {
  if (process.env.KAFKA_BROKERS) return undefined;
  try {
    await kafkaFiles(tell);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Declares a suite that needs a broker. Without one it holds one test, which is skipped, and fails under `CI=true`. */
export function describeWithKafka(
  runner: KafkaTestRunner,
  missing: string | undefined,
  name: string,
  body: () => void,
): void {
  if (missing === undefined) {
    runner.describe(name, body);
    return;
  }
  runner.describe(name, () => {
    runner.it('needs a Kafka broker', (context) => {
      if (process.env.CI === 'true') throw new Error(missing);
      tell(`\nNOT TESTED: ${name}: ${missing}\n`);
      context.skip(missing);
    });
  });
}

/** Past the test runner, which would swallow it. */
function tell(message: string): void {
  writeSync(2, `${message}\n`);
}
