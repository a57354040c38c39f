/** What an outbox keeps, where, and how much of it; and what it says when it can't. */
import {
  countRule,
  durationRule,
  functionRule,
  type OptionRules,
  objectRule,
  oneOfRule,
  ResilienceError,
} from '@resil/core';
import type { Message } from 'kafkajs';

/** A message as it is kept: text only, binary contents as base64. */
export interface StoredMessage {
  readonly topic: string;
  readonly message: Message;
}

/** A kept message and its place in the order. */
export interface StoredEntry extends StoredMessage {
  readonly id: string;
}

/** Where messages are kept. What `append` has resolved for must survive a crash of the process. */
export interface OutboxStore {
  /** Whether others than this outbox add to it, so that it must be looked at from time to time. */
  readonly shared: boolean;
  open(): Promise<void>;
  /** How many messages it holds. */
  size(): Promise<number>;
  /** Keeps messages, all or none, behind those that are there. */
  append(messages: readonly StoredMessage[]): Promise<void>;
  /** The oldest messages. */
  oldest(max: number): Promise<readonly StoredEntry[]>;
  /** Forgets messages, the oldest ones, which `oldest` gave; gives how many of them were still there. */
  remove(entries: readonly StoredEntry[]): Promise<number>;
  close(): Promise<void>;
}

/** Options of {@link outbox}. */
export interface OutboxOptions {
  /** Where messages are kept: `fileStore` or `tableStore`. */
  readonly store: OutboxStore;
  /**
   * Most messages that are kept.
   *
   * At least 1.
   *
   * @defaultValue `outboxDefaults.maxMessages` (100,000)
   */
  readonly maxMessages?: number | undefined;
  /**
   * What happens to a send that finds it full: it is refused with `RESIL_OUTBOX_FULL`, or the oldest
   * messages make place and are lost.
   *
   * @defaultValue `outboxDefaults.whenFull` (`'refuse'`)
   */
  readonly whenFull?: 'refuse' | 'drop-oldest' | undefined;
  /**
   * Messages that are sent at a time.
   *
   * @defaultValue `outboxDefaults.batchSize` (200)
   */
  readonly batchSize?: number | undefined;
  /**
   * Milliseconds between two tries while the broker is away.
   *
   * @defaultValue `outboxDefaults.retryDelay` (1,000)
   */
  readonly retryDelay?: number | undefined;
  /** Told how many messages were dropped, where `whenFull` is `'drop-oldest'`, or that one can never be sent. Default: nobody. */
  readonly onDropped?: ((count: number, error: unknown) => void) | undefined;
}

/** Defaults of {@link OutboxOptions}. */
export const outboxDefaults: {
  readonly maxMessages: number;
  readonly whenFull: 'refuse';
  readonly batchSize: number;
  readonly retryDelay: number;
} = Object.freeze({
  maxMessages: 100_000,
  whenFull: 'refuse',
  batchSize: 200,
  retryDelay: 1_000,
});

/** The outbox holds as many messages as it may. Code `RESIL_OUTBOX_FULL`; the message was not kept. */
export class OutboxFullError extends ResilienceError {
  constructor(maxMessages: number) {
    super('RESIL_OUTBOX_FULL', `the outbox is full: it holds ${maxMessages} messages`, {
      strategy: 'outbox',
      refusal: true,
    });
  }
}

/** What is allowed for each option. */
export const outboxRules: OptionRules<OutboxOptions> = {
  store: objectRule('a store', (value) => typeof value.append === 'function'),
  maxMessages: countRule(1),
  whenFull: oneOfRule('refuse', 'drop-oldest'),
  batchSize: countRule(1),
  retryDelay: durationRule(),
  onDropped: functionRule,
};

/** A send waited behind one that went into the outbox, and goes there too. */
export class BehindOutboxError extends ResilienceError {
  constructor() {
    super('RESIL_BEHIND_OUTBOX', 'a message before this one is in the outbox', {
      strategy: 'outbox',
      refusal: true,
    });
  }
}
