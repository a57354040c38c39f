/** The client beneath a resilient one, for work of our own that brings its own care. */
import type { Kafka } from 'kafkajs';

const clients = new WeakMap<Kafka, Kafka>();

/** Remembers the client that a resilient one was made from. */
export function setBare(wrapped: Kafka, kafka: Kafka): void {
  clients.set(wrapped, kafka);
}

/** The client that a resilient one was made from; `undefined` for another. */
export function bareOf(wrapped: Kafka): Kafka | undefined {
  return clients.get(wrapped);
}
