/** Partitions of a consumer that are paused for a while, because their next message has to wait. */
import type { Consumer, TopicPartitions } from 'kafkajs';
import type { Handling, Held } from './handling.js';

/** A partition that is left alone. */
interface Hold {
  /** Ends the wait, and nothing else. */
  readonly cancel: () => void;
  readonly tellResumed: () => void;
}

/** Pauses partitions, and resumes them. What the user pauses or resumes is the user's. */
export class PartitionHolds {
  readonly #consumer: Consumer;
  /** By partition and topic. */
  readonly #holds = new Map<string, Hold>();

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
  hold(
    handling: Pick<Handling, 'clock' | 'tellPaused'>,
    topic: string,
    partition: number,
    held: Held,
  ): void {
    // By the user, who resumes it.
    if (this.isPaused(topic, partition)) return;
    const place = [{ topic, partitions: [partition] }];
    this.#consumer.pause(place);
    const tellResumed = handling.tellPaused(topic, partition, held);
    const end = (): void => {
      this.#holds.delete(keyOf(topic, partition));
      this.#consumer.resume(place);
      tellResumed();
    };
    // Without an end, until the user resumes it.
    const cancel = held.delay === Infinity ? () => {} : handling.clock.schedule(end, held.delay);
    this.#holds.set(keyOf(topic, partition), { cancel, tellResumed });
  }

  /** Leaves partitions to the user, who has paused them. */
  leave(places: readonly Partial<TopicPartitions>[]): void {
    for (const [, { cancel }] of this.#of(places)) cancel();
  }

  /** The user has resumed partitions. */
  resumed(places: readonly Partial<TopicPartitions>[]): void {
    for (const [key, { cancel, tellResumed }] of this.#of(places)) {
      cancel();
      this.#holds.delete(key);
      tellResumed();
    }
  }

  #of(places: readonly Partial<TopicPartitions>[]): (readonly [string, Hold])[] {
    return [...this.#holds].filter(([key]) => {
      const [partition, ...name] = key.split('/');
      return places.some(
        ({ topic, partitions }) =>
          topic === name.join('/') && partitions?.includes(Number(partition)) !== false,
      );
    });
  }

  /** Forgets all of them: their consumer stops. */
  clear(): void {
    for (const { cancel } of this.#holds.values()) cancel();
    this.#holds.clear();
  }
}

function keyOf(topic: string, partition: number): string {
  return `${partition}/${topic}`;
}
