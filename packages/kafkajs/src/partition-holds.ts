/** Partitions of a consumer that are paused for a while, because their next message has to wait. */
import type { Consumer, TopicPartitions } from 'kafkajs';
import type { Handling, Held } from './handling.js';

/** Pauses partitions, and resumes them. What the user pauses or resumes is the user's. */
export class PartitionHolds {
  readonly #consumer: Consumer;
  /** What ends each hold, by partition and topic. */
  readonly #holds = new Map<string, () => void>();

  constructor(consumer: Consumer) {
    this.#consumer = consumer;
  }

  /** Whether nothing is fetched of a partition, whoever has paused it. */
  isPaused(topic: string, partition: number): boolean {
    return this.#consumer
      .paused()
      .some((one) => one.topic === topic && one.partitions.includes(partition));
  }

  /** Fetches nothing more of a partition for a while; what was not resolved comes again then. */
  hold(handling: Handling, topic: string, partition: number, held: Held): void {
    // By the user, who resumes it.
    if (this.isPaused(topic, partition)) return;
    const place = [{ topic, partitions: [partition] }];
    this.#consumer.pause(place);
    const tellResumed = handling.tellPaused(topic, partition, held);
    // Until the user resumes it.
    if (held.delay === Infinity) return;
    const cancel = handling.clock.schedule(() => {
      this.#holds.delete(keyOf(topic, partition));
      this.#consumer.resume(place);
      tellResumed();
    }, held.delay);
    this.#holds.set(keyOf(topic, partition), cancel);
  }

  /** Leaves partitions to the user. */
  release(places: readonly Partial<TopicPartitions>[]): void {
    for (const { topic, partitions } of places) {
      for (const [key, cancel] of this.#holds) {
        const [partition, ...name] = key.split('/');
        if (name.join('/') !== topic) continue;
        if (partitions !== undefined && !partitions.includes(Number(partition))) continue;
        cancel();
        this.#holds.delete(key);
      }
    }
  }

  /** Forgets all of them: their consumer stops. */
  clear(): void {
    for (const cancel of this.#holds.values()) cancel();
    this.#holds.clear();
  }
}

function keyOf(topic: string, partition: number): string {
  return `${partition}/${topic}`;
}
