/**
 * How far a record came in the attempts before, so that one of our own retries doesn't write again what
 * was answered, because a part of it for another partition had failed.
 */
import type { Message, RecordMetadata } from 'kafkajs';

interface TopicProgress {
  /** Places of the messages in their record. */
  readonly written: Set<number>;
  readonly answers: RecordMetadata[];
}

/** What was written of one record. */
export class Progress {
  /** Whether anything of it was written, or may have been. */
  begun = false;
  readonly #topics = new Map<string, TopicProgress>();

  /** The messages of a topic that are still to be sent, given copies of all. */
  left(topic: string, copies: readonly Message[]): Message[] {
    const written = this.#topics.get(topic)?.written;
    return copies.filter((_, place) => written?.has(place) !== true);
  }

  /** What was answered about those that were written. */
  answers(topic: string): readonly RecordMetadata[] {
    return this.#topics.get(topic)?.answers ?? [];
  }

  /** Remembers which of the copies were written. */
  add(
    topic: string,
    copies: readonly Message[],
    written: readonly Message[],
    answers: readonly RecordMetadata[],
  ): void {
    if (written.length === 0) return;
    this.begun = true;
    const known = this.#topics.get(topic) ?? { written: new Set(), answers: [] };
    const fresh = new Set(written);
    copies.forEach((copy, place) => {
      if (fresh.has(copy)) known.written.add(place);
    });
    known.answers.push(...answers);
    this.#topics.set(topic, known);
  }
}
