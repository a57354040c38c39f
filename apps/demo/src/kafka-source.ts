/** Where the brokers of a run come from; on a machine that can have none the demo shows the rest. */
import { type KafkaCluster, KafkaUnavailableError, startKafka } from '@resil/testbed';
import colors from 'picocolors';

/** Starts three brokers for each run, or finds out that there can be none. */
export class KafkaSource {
  /** Why no broker can be had; `undefined` as long as one can. */
  missing: string | undefined = process.env.KAFKA_BROKERS
    ? 'KAFKA_BROKERS names a cluster that is not the demo’s to break; without it the demo starts one of its own'
    : undefined;

  /** Three brokers; `undefined` where there can be none. What the first run had, `required`, the second must have too. */
  async start(
    onProgress: (message: string) => void,
    required: boolean,
  ): Promise<KafkaCluster | undefined> {
    if (this.missing === undefined) {
      try {
        return await startKafka({ nodes: 3, onProgress });
      } catch (error) {
        if (required || !(error instanceof KafkaUnavailableError)) throw error;
        this.missing = error.message;
      }
    }
    if (!required) onProgress(colors.yellow(withoutKafka(this.missing)));
    return undefined;
  }
}

/** What is said where there is no broker. */
export function withoutKafka(reason: string): string {
  return `NOT SHOWN: Kafka. ${reason}`;
}
