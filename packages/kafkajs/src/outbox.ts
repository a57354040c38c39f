/**
 * An outbox: messages that could not be sent are kept, in order, and sent when the broker is back.
 * While it holds any, later ones are kept behind them, those of other topics too, so that order stays.
 * What was kept is written at least once.
 */
import {
  type Clock,
  checkOptions,
  InvalidOptionError,
  OutcomeUnknownError,
  report,
  systemClock,
} from '@resil/core';
import type { Message, RecordMetadata, TopicMessages } from 'kafkajs';
import { rootOf } from './classify.js';
import type { SendSettings } from './lane.js';
import {
  OutboxFullError,
  type OutboxOptions,
  type OutboxStore,
  outboxDefaults,
  outboxRules,
  type StoredEntry,
  type StoredMessage,
} from './outbox-options.js';
import { isSendable } from './record.js';

type Send = (
  topicMessages: readonly TopicMessages[],
  settings: SendSettings,
) => Promise<RecordMetadata[]>;

const SETTINGS: SendSettings = Object.freeze({
  acks: -1,
  timeout: undefined,
  compression: undefined,
});

/** Longest wait for what is on its way when the outbox stops, in ms. */
const STOP_TIMEOUT = 5_000;

/** A send's place among the others. */
export interface Ticket {
  /** Whether messages are kept at this moment, so that this one must be kept behind them. */
  readonly behind: boolean;
  /** Keeps the messages. Resolves when they are safe, with no metadata: Kafka has told none. */
  keep(topicMessages: readonly TopicMessages[]): Promise<RecordMetadata[]>;
  /** The send has ended. */
  leave(): void;
}

interface Place {
  /** What is to be kept; `undefined` as long as that is open. */
  messages: readonly StoredMessage[] | undefined;
  resolve(): void;
  reject(error: unknown): void;
}

/** Keeps what could not be sent. One outbox belongs to one producer. */
export class Outbox {
  readonly #store: OutboxStore;
  readonly #options: {
    readonly maxMessages: number;
    readonly whenFull: 'refuse' | 'drop-oldest';
    readonly batchSize: number;
    readonly retryDelay: number;
  };
  readonly #onDropped: OutboxOptions['onDropped'];
  #clock: Clock = systemClock;
  #send: Send | undefined;
  #size = 0;
  #opened: Promise<void> | undefined;
  /** Sends the store's messages; `undefined` while there is nothing to do. */
  #relaying: Promise<void> | undefined;
  readonly #drainers: (() => void)[] = [];
  #stopped = true;
  #cancelWait = (): void => {};
  #giveUp = (): void => {};
  #cancelWatch = (): void => {};
  /** What changes the store or its size does so one after the other: order is that of the calls, and no count is lost. */
  #lastChange: Promise<unknown> = Promise.resolve();
  /** Sends that are kept or about to be. */
  #keeping = 0;
  /** Sends in the order of their calls, as long as their end is open. */
  readonly #places = new Set<Place>();

  /** @throws InvalidOptionError */
  constructor(options: OutboxOptions) {
    checkOptions('outbox', options, outboxRules);
    if (options.store === undefined) {
      throw new InvalidOptionError('outbox.store', undefined, 'must be given');
    }
    const {
      maxMessages = outboxDefaults.maxMessages,
      whenFull = outboxDefaults.whenFull,
      batchSize = outboxDefaults.batchSize,
      retryDelay = outboxDefaults.retryDelay,
    } = options;
    this.#store = options.store;
    this.#options = { maxMessages, whenFull, batchSize, retryDelay };
    this.#onDropped = options.onDropped;
  }

  /** Messages that are kept. */
  get size(): number {
    return this.#size;
  }

  /** Resolves when nothing is kept any more. */
  async drained(): Promise<void> {
    await this.#open();
    if (this.#size + this.#keeping === 0) return;
    await new Promise<void>((resolve) => this.#drainers.push(resolve));
  }

  /** @internal */
  attach(send: Send, clock: Clock | undefined): void {
    if (this.#send !== undefined) {
      throw new InvalidOptionError('resilient.fallback', this, 'must be an outbox of its own');
    }
    this.#send = send;
    this.#clock = clock ?? systemClock;
  }

  /** Opens the store and begins to send what it holds. Called when the producer connects. */
  async start(): Promise<void> {
    this.#stopped = false;
    await this.#open();
    this.#wake();
    if (this.#store.shared) this.#watch();
  }

  /**
   * Stops sending; what is kept stays kept. Called when the producer disconnects. What is on its way is
   * waited for, but not longer than 5 s: a broker that is away may never answer.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelWait();
    this.#cancelWatch();
    await this.#lastChange;
    const cancel = this.#clock.schedule(() => this.#giveUp(), STOP_TIMEOUT);
    await this.#relaying;
    cancel();
    if (this.#opened === undefined) return;
    await this.#opened;
    this.#opened = undefined;
    await this.#store.close();
  }

  /** @internal Announces a send, so that what is kept is kept in the order of the calls. */
  enter(): Ticket {
    const place: Place = { messages: undefined, resolve: () => {}, reject: () => {} };
    this.#places.add(place);
    const behind = (): boolean => this.#size > 0 || this.#keeping > 0;
    return {
      get behind(): boolean {
        return behind();
      },
      keep: (topicMessages) => {
        this.#keeping += 1;
        const kept = new Promise<void>((resolve, reject) => {
          place.resolve = resolve;
          place.reject = reject;
        });
        place.messages = topicMessages.flatMap(({ topic, messages }) =>
          messages.map((message) => ({ topic, message })),
        );
        this.#advance();
        return kept.then(() => []);
      },
      leave: () => {
        this.#places.delete(place);
        this.#advance();
      },
    };
  }

  /** Keeps what may be kept: what has no send before it whose end is open. */
  #advance(): void {
    for (const place of this.#places) {
      const { messages } = place;
      if (messages === undefined) return;
      this.#places.delete(place);
      this.#inTurn(() => this.#append(messages))
        .then(place.resolve, place.reject)
        .finally(() => {
          this.#keeping -= 1;
          this.#tellDrained();
        });
    }
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#lastChange.then(change);
    this.#lastChange = done.catch(() => {});
    return done;
  }

  /** In turn only. Gives how many of them were still there. */
  async #remove(entries: readonly StoredEntry[]): Promise<number> {
    const removed = await this.#store.remove(entries);
    // Not in one expression with the await: it would take the size of before.
    this.#size -= removed;
    return removed;
  }

  /** Asks the store how much it holds: others add to it and take from it. */
  #recount(): Promise<void> {
    return this.#inTurn(async () => {
      const size = await this.#store.size();
      this.#size = size;
    });
  }

  async #append(messages: readonly StoredMessage[]): Promise<void> {
    await this.#open();
    const { maxMessages, whenFull } = this.#options;
    if (messages.length > maxMessages) throw new OutboxFullError(maxMessages);
    const over = this.#size + messages.length - maxMessages;
    if (over > 0) {
      if (whenFull === 'refuse') throw new OutboxFullError(maxMessages);
      const dropped = await this.#remove(await this.#store.oldest(over));
      this.#drop(dropped, new OutboxFullError(maxMessages));
    }
    await this.#store.append(messages);
    this.#size += messages.length;
    this.#wake();
  }

  #open(): Promise<void> {
    this.#opened ??= this.#store
      .open()
      .then(() => this.#store.size())
      .then(
        (size) => {
          this.#size = size;
        },
        (error: unknown) => {
          this.#opened = undefined;
          throw error;
        },
      );
    return this.#opened;
  }

  #wake(): void {
    if (this.#stopped || this.#relaying !== undefined || this.#size === 0) return;
    this.#relaying = this.#relay()
      .catch((error: unknown) => {
        report(error, 'outbox');
        return this.#pause();
      })
      .finally(() => {
        this.#relaying = undefined;
        this.#tellDrained();
        this.#wake();
      });
  }

  #tellDrained(): void {
    if (this.#size + this.#keeping > 0) return;
    for (const resolve of this.#drainers.splice(0)) resolve();
  }

  /** Looks from time to time for what others have added. */
  #watch(): void {
    this.#cancelWatch = this.#clock.schedule(() => {
      this.#recount()
        .then(
          () => this.#wake(),
          (error: unknown) => report(error, 'outbox'),
        )
        .finally(() => {
          if (!this.#stopped) this.#watch();
        });
    }, this.#options.retryDelay);
  }

  /** Sends what is kept, oldest first, until nothing is left or it is stopped. */
  async #relay(): Promise<void> {
    while (!this.#stopped && this.#size > 0) {
      const entries = await this.#read();
      if (entries === undefined) return;
      const sent = await this.#sendAll(entries);
      if (sent.length > 0) {
        // In turn, so that dropping the oldest does not meet it.
        await this.#inTurn(() => this.#remove(sent));
      }
      if (sent.length < entries.length) await this.#pause();
    }
  }

  async #read(): Promise<readonly StoredEntry[] | undefined> {
    try {
      const entries = await this.#store.oldest(this.#options.batchSize);
      if (entries.length > 0) return entries;
      // Another process sends what is there, or has sent it.
      await this.#recount();
      if (this.#size > 0) await this.#pause();
      return undefined;
    } catch (error) {
      report(error, 'outbox');
      await this.#pause();
      return undefined;
    }
  }

  /** Sends entries together; one by one if one of them can never be sent. Gives those that are dealt with. */
  async #sendAll(entries: readonly StoredEntry[]): Promise<readonly StoredEntry[]> {
    const send = this.#send;
    if (send === undefined) return [];
    try {
      await new Promise<unknown>((resolve, reject) => {
        this.#giveUp = () =>
          reject(new OutcomeUnknownError('outbox', 'the outbox was stopped', undefined));
        send(group(entries), SETTINGS).then(resolve, reject);
      });
      return entries;
    } catch (error) {
      if (
        !isUnsendable(error) &&
        entries.every(({ topic, message }) => isSendable(topic, message))
      ) {
        return [];
      }
      if (entries.length === 1) {
        this.#drop(1, error);
        return entries;
      }
    }
    const done: StoredEntry[] = [];
    for (const entry of entries) {
      if (this.#stopped) return done;
      const one = await this.#sendAll([entry]);
      if (one.length === 0) return done;
      done.push(entry);
    }
    return done;
  }

  #pause(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#clock.schedule(resolve, this.#options.retryDelay);
      this.#cancelWait = () => {
        cancel();
        resolve();
      };
    });
  }

  #drop(count: number, error: unknown): void {
    try {
      this.#onDropped?.(count, error);
    } catch (thrown) {
      report(thrown, 'onDropped');
    }
  }
}

/**
 * An outbox, for the `fallback` of a resilient producer.
 *
 * @throws InvalidOptionError
 * @example
 * ```ts no-run (needs a broker)
 * import { fileStore, outbox, resilient } from '@resil/kafkajs';
 * import { Kafka } from 'kafkajs';
 *
 * const box = outbox({ store: fileStore({ path: '/var/lib/shop/outbox.log' }) });
 * const kafka = resilient(new Kafka({ brokers: ['localhost:9092'] }), { fallback: box });
 * ```
 */
export function outbox(options: OutboxOptions): Outbox {
  return new Outbox(options);
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
