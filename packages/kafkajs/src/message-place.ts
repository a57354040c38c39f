/** Where a message is, and what is remembered of one that could not be handled yet. */
import type { KafkaMessage } from 'kafkajs';

/** Where a message is. */
export interface MessagePlace {
  readonly topic: string;
  readonly partition: number;
  readonly message: KafkaMessage;
}

/** A message whose handler has failed for good. */
export interface Failed {
  readonly kind: 'failed';
  readonly error: unknown;
  /** Runs of its handler since it was read first. */
  readonly attempts: number;
  /** Whether it must not be handled again. */
  readonly permanent: boolean;
}

/** What is remembered of a message that has to wait. */
export type Memory =
  /** It has failed, or was refused after it had failed. */
  | { readonly kind: 'tried'; readonly attempts: number; readonly since: number }
  /** It was given up, and could not be sent on. */
  | { readonly kind: 'given-up'; readonly failed: Failed };

/** Remembers the message that each partition waits for: there is one at most, so it is bounded by their number. */
export class Memories {
  readonly #byPartition = new Map<string, { readonly offset: string; readonly memory: Memory }>();

  /** What is remembered of a message; `undefined` if it is met for the first time. */
  of(place: MessagePlace): Memory | undefined {
    const found = this.#byPartition.get(keyOf(place));
    return found?.offset === place.message.offset ? found.memory : undefined;
  }

  keep(place: MessagePlace, memory: Memory): void {
    this.#byPartition.set(keyOf(place), { offset: place.message.offset, memory });
  }

  forget(place: MessagePlace): void {
    this.#byPartition.delete(keyOf(place));
  }
}

function keyOf({ topic, partition }: MessagePlace): string {
  return `${partition}/${topic}`;
}
