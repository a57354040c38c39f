/** What lies beneath a resilient client, for work of our own that brings its own care. */
import type { Kafka, Producer } from 'kafkajs';

/** The client beneath, and producers without a fallback: what they have resolved is written. */
export interface Beneath {
  readonly kafka: Kafka;
  producer(): Producer;
}

const clients = new WeakMap<Kafka, Beneath>();

/** Remembers what a resilient client was made from. */
export function setBeneath(wrapped: Kafka, beneath: Beneath): void {
  clients.set(wrapped, beneath);
}

/** What a resilient client was made from; another stands for itself. */
export function beneath(kafka: Kafka): Beneath {
  return clients.get(kafka) ?? { kafka, producer: () => kafka.producer() };
}
