/** The Kafka client of the shop: all that it does for its protection. */
import { fileStore, type Outbox, outbox, resilient } from '@resil/kafkajs';
import { Kafka, type KafkaConfig } from 'kafkajs';

/** A client, and what keeps its messages while the cluster is away. */
export interface ShopKafka {
  readonly kafka: Kafka;
  readonly box: Outbox;
}

/** Keeps what Kafka doesn't take in the file `path`. The numbers are small to keep the story short. */
export function shopKafka(config: KafkaConfig, path: string): ShopKafka {
  const box = outbox({ store: fileStore({ path }), retryDelay: 200 });
  const kafka = resilient(new Kafka(config), {
    name: 'orders',
    attemptTimeout: 500,
    circuitBreaker: { failureThreshold: 5, resetTimeout: 500 },
    fallback: box,
    consumer: { retry: { maxAttempts: 3, baseDelay: 50 } },
  });
  return { kafka, box };
}
