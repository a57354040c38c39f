/** What an outbox keeps, where, and how much of it; and what it says when it can't. */
import {
  countRule,
  durationRule,
  functionRule,
  type OptionRules,
  objectRule,
  oneOfRule,
  positiveDurationRule,
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

/** What came of an append. */
export interface Appended {
  /** Whether the messages were kept: all of them, or none. */
  readonly kept: boolean;
  /** How many messages the store holds now. */
  readonly size: number;
}

/** Where messages are kept. What `append` has kept must survive a crash of the process. */
export interface OutboxStore {
  /** Whether others than this outbox add to it, so that it must be looked at from time to time. */
  readonly shared: boolean;
  open(): Promise<void>;
  /** How many messages it holds. */
  size(): Promise<number>;
  /**
   * Keeps messages, all or none, behind those that are there: what came together is written together. A
   * `shared` store keeps none if it would hold more than `max` then, whoever adds to it meanwhile.
   */
  append(messages: readonly StoredMessage[], max: number): Promise<Appended>;
  /** The oldest messages. */
  oldest(max: number): Promise<readonly StoredEntry[]>;
  /** Forgets messages, the oldest ones, which `oldest` gave; gives how many of them were still there. */
  remove(entries: readonly StoredEntry[]): Promise<number>;
  /** Forgets the oldest messages, whoever is about to send them; gives how many it forgot. */
  drop(count: number): Promise<number>;
  close(): Promise<void>;
}

/** Options of {@link outbox}. */
export interface OutboxOptions {
  /** Where messages are kept: `fileStore` or `tableStore`. */
  readonly store: OutboxStore;
  /**
   * Most messages that are kept. Those that wait for the store count too, so that the bound holds while
   * it is slow; where `whenFull` is `'drop-oldest'` as many as this may wait beside those that are kept.
   *
   * At least 1.
   *
   * @defaultValue `outboxDefaults.maxMessages` (100,000)
   */
  readonly maxMessages?: number | undefined;
  /**
   * What happens to a send that finds it full: it is refused with `RESIL_OUTBOX_FULL`, or the oldest
   * messages make room and are lost. The oldest send that still waits for the store is then rejected with
   * `RESIL_OUTBOX_FULL`; of those that were kept `onDropped` tells.
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
  /**
   * Longest time in milliseconds that a send waits for the store, which may hang. Its own deadline and
   * signal end the wait too. A send whose write had not begun then is not kept, and rejects with
   * `RESIL_TIMEOUT`; one whose write had begun may be kept and sent, and rejects with
   * `RESIL_OUTCOME_UNKNOWN`. After an abort both reject with the signal's reason.
   *
   * Above 0; `Infinity` for no limit.
   *
   * @defaultValue `outboxDefaults.keepTimeout` (10,000)
   */
  readonly keepTimeout?: number | undefined;
  /** Told how many messages were dropped, where `whenFull` is `'drop-oldest'`, or that one can never be sent. Default: nobody. */
  readonly onDropped?: ((count: number, error: unknown) => void) | undefined;
}

/** Defaults of {@link OutboxOptions}. */
export const outboxDefaults: {
  readonly maxMessages: number;
  readonly whenFull: 'refuse';
  readonly batchSize: number;
  readonly retryDelay: number;
  readonly keepTimeout: number;
} = Object.freeze({
  maxMessages: 100_000,
  whenFull: 'refuse',
  batchSize: 200,
  retryDelay: 1_000,
  keepTimeout: 10_000,
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
  keepTimeout: positiveDurationRule(true),
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
