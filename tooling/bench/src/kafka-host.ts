/**
 * Apache Kafka, started by a process of its own: the testbed's proxies before the broker run there,
 * and not in the process whose time is measured. Ends when its parent lets go of it.
 */
import { startKafka } from '@resil/testbed';

/** What the parent is told. */
export type KafkaHostMessage =
  | { readonly progress: string }
  | { readonly brokers: readonly string[] };

const tell = (message: KafkaHostMessage): void => {
  process.send?.(message);
};
const topics = process.argv.slice(2);
const cluster = await startKafka({ onProgress: (progress) => tell({ progress }) });
process.on('disconnect', () => cluster.close());
for (const topic of topics) await cluster.createTopic(topic, 6);
tell({ brokers: cluster.brokers });
