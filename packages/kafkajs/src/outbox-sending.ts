/** Sends what an outbox has kept: all together, or one by one where one of them can never be sent. */
import { OutcomeUnknownError } from '@resil/core';
import type { Message, RecordMetadata, TopicMessages } from 'kafkajs';
import { rootOf } from './classify.js';
import type { SendSettings } from './lane.js';
import type { StoredEntry } from './outbox-options.js';
import { isSendable } from './record.js';

/** How an outbox reaches the broker. */
export type Send = (
  topicMessages: readonly TopicMessages[],
  settings: SendSettings,
) => Promise<RecordMetadata[]>;

const SETTINGS: SendSettings = Object.freeze({
  acks: -1,
  timeout: undefined,
  compression: undefined,
});

/** Sends entries, a batch at a time. */
export class Sending {
  readonly #send: Send;
  readonly #onUnsendable: (error: unknown) => void;
  #giveUp = (): void => {};

  constructor(send: Send, onUnsendable: (error: unknown) => void) {
    this.#send = send;
    this.#onUnsendable = onUnsendable;
  }

  /** Waits no longer for what is on its way. */
  giveUp(): void {
    this.#giveUp();
  }

  /** Gives those that are dealt with: sent, or told to be such as can never be. */
  async run(
    entries: readonly StoredEntry[],
    stopped: () => boolean,
  ): Promise<readonly StoredEntry[]> {
    try {
      await this.#attempt(entries);
      return entries;
    } catch (error) {
      if (
        !isUnsendable(error) &&
        entries.every(({ topic, message }) => isSendable(topic, message))
      ) {
        return [];
      }
      if (entries.length === 1) {
        this.#onUnsendable(error);
        return entries;
      }
    }
    const done: StoredEntry[] = [];
    for (const entry of entries) {
      if (stopped()) return done;
      const one = await this.run([entry], stopped);
      if (one.length === 0) return done;
      done.push(entry);
    }
    return done;
  }

  #attempt(entries: readonly StoredEntry[]): Promise<unknown> {
    return new Promise<unknown>((resolve, reject) => {
      this.#giveUp = () =>
        reject(new OutcomeUnknownError('outbox', 'the outbox was stopped', undefined));
      this.#send(group(entries), SETTINGS).then(resolve, reject);
    });
  }
}

/** Entries by topic, in order within each. */
function group(entries: readonly StoredEntry[]): TopicMessages[] {
  const topics = new Map<string, Message[]>();
  for (const { topic, message } of entries) {
    const messages = topics.get(topic);
    if (messages === undefined) topics.set(topic, [message]);
    else messages.push(message);
  }
  return [...topics].map(([topic, messages]) => ({ topic, messages }));
}

/** What a broker says of messages that it will never take. Everything else may change. */
const UNSENDABLE = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'INVALID_TOPIC_EXCEPTION',
]);

function isUnsendable(error: unknown): boolean {
  if ((error as { code?: unknown }).code === 'RESIL_UNKNOWN_PARTITION') return true;
  return UNSENDABLE.has(String((rootOf(error) as { type?: unknown } | undefined)?.type));
}
