/**
 * What waits to be kept by an outbox: in the order of the calls, bounded, and written in groups, so that
 * the disk or the database is waited for once and not once for each send (group commit).
 *
 *   open -> waiting -> writing -> gone
 *
 * While it waits, its caller can take it back. Once its group is being written nobody can: what the store
 * then keeps stays kept and is sent, whether its caller still waits or not.
 */
import { type Clock, TimeoutError } from '@resil/core';
import type { Message, RecordMetadata, TopicMessages } from 'kafkajs';
import { OutboxFullError, type StoredMessage } from './outbox-options.js';

/** How long a send waits for being kept. */
export interface KeepLimits {
  readonly signal?: AbortSignal | undefined;
  /** On the clock's scale. */
  readonly deadline?: number | undefined;
}

/** A send's place among the others. */
export interface Ticket {
  /** Whether messages are kept at this moment, so that this one must be kept behind them. */
  readonly behind: boolean;
  /** Whether the store was told to keep it: it may be kept, whatever its caller hears. */
  readonly begun: boolean;
  /** Keeps the messages. Resolves when they are safe, with no metadata: Kafka has told none. */
  keep(topicMessages: readonly TopicMessages[], limits: KeepLimits): Promise<RecordMetadata[]>;
  /** The send has ended. */
  leave(): void;
}

/** One send, as long as it is open whether it must be kept, and until it is. */
export interface Place {
  /** What is to be kept; none as long as that is open. */
  messages: readonly StoredMessage[];
  state: 'open' | 'waiting' | 'writing' | 'gone';
  /** Whether it was ever being written. */
  begun: boolean;
  /** Whether its caller still waits. */
  awaited: boolean;
  resolve(): void;
  reject(error: unknown): void;
  /** The sends called before and after it. */
  previous: Place | undefined;
  next: Place | undefined;
}

/** What an intake needs of its outbox. */
export interface IntakeParts {
  readonly maxMessages: number;
  readonly whenFull: 'refuse' | 'drop-oldest';
  readonly keepTimeout: number;
  clock(): Clock;
  /** Messages that are kept. */
  size(): number;
  /** Whether others change that number, so that it says little about now. */
  readonly shared: boolean;
  /** Something waits to be written, or has ceased to. */
  changed(): void;
}

/** What one write holds at most, so that none takes long and no text is large; a send is never split. */
const GROUP_MESSAGES = 1_000;
const GROUP_BYTES = 1024 * 1024;

/** The sends that are kept or may be. */
export class Intake {
  readonly #parts: IntakeParts;
  /**
   * Sends in the order of their calls, as long as their end is open or they wait: a list that any of them
   * can leave at once, which a `Set` with thousands of deletions at its head can't be.
   */
  #first: Place | undefined;
  #last: Place | undefined;
  /** Messages that wait. */
  #waiting = 0;
  /** Messages that are being written. */
  #writing = 0;
  /** Sends that wait or are being written. */
  #sends = 0;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** Sends that wait to be kept or are being written. */
  get sends(): number {
    return this.#sends;
  }

  /** Whether something may be written: it waits, and no send before it is open. */
  get ready(): boolean {
    return this.#first?.state === 'waiting';
  }

  /** Announces a send. */
  enter(): Ticket {
    const place: Place = {
      messages: [],
      state: 'open',
      begun: false,
      awaited: true,
      resolve: () => {},
      reject: () => {},
      previous: this.#last,
      next: undefined,
    };
    if (this.#last === undefined) this.#first = place;
    else this.#last.next = place;
    this.#last = place;
    const behind = (): boolean => this.#parts.size() > 0 || this.#sends > 0;
    return {
      get behind(): boolean {
        return behind();
      },
      get begun(): boolean {
        return place.begun;
      },
      keep: async (topicMessages, limits) => {
        const messages = topicMessages.flatMap(({ topic, messages: own }) =>
          own.map((message) => ({ topic, message })),
        );
        await this.#wait(place, messages, limits);
        return [];
      },
      leave: () => {
        if (place.state !== 'open') return;
        this.#unlink(place);
        place.state = 'gone';
        this.#parts.changed();
      },
    };
  }

  /** Takes what is to be written next. Each of it must come back as `done` or `failed`. */
  take(): readonly Place[] {
    const group: Place[] = [];
    let messages = 0;
    let bytes = 0;
    for (let place = this.#first; place?.state === 'waiting'; place = this.#first) {
      messages += place.messages.length;
      bytes += place.messages.reduce((sum, { message }) => sum + sizeOf(message), 0);
      if (group.length > 0 && (messages > GROUP_MESSAGES || bytes > GROUP_BYTES)) break;
      this.#unlink(place);
      this.#waiting -= place.messages.length;
      this.#writing += place.messages.length;
      place.state = 'writing';
      place.begun = true;
      group.push(place);
    }
    return group;
  }

  /** It is kept. */
  done(place: Place): void {
    this.#written(place);
    place.resolve();
  }

  /** It was not kept, or nobody knows. */
  failed(place: Place, error: unknown): void {
    this.#written(place);
    place.reject(error);
  }

  #wait(place: Place, messages: readonly StoredMessage[], limits: KeepLimits): Promise<void> {
    const { signal, deadline = Infinity } = limits;
    const clock = this.#parts.clock();
    const patience = Math.min(this.#parts.keepTimeout, deadline - clock.now());
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) throw signal.reason;
      // Who has left is not waited for by anybody, and nobody would end it.
      if (patience <= 0 || place.state !== 'open') throw new TimeoutError('outbox', 0);
      this.#admit(messages.length);
      const onAbort = (): void => this.#abandon(place, signal?.reason);
      const cancel =
        patience === Infinity
          ? undefined
          : clock.schedule(
              () => this.#abandon(place, new TimeoutError('outbox', patience)),
              patience,
            );
      const forget = (): void => {
        cancel?.();
        signal?.removeEventListener('abort', onAbort);
      };
      place.resolve = () => {
        forget();
        resolve();
      };
      place.reject = (error) => {
        forget();
        reject(error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      place.messages = messages;
      place.state = 'waiting';
      this.#waiting += messages.length;
      this.#sends += 1;
      this.#evict();
      this.#parts.changed();
    });
  }

  /** Refuses what there will be no room for. What waits counts as if it were kept. */
  #admit(count: number): void {
    const { maxMessages, whenFull, shared } = this.#parts;
    const kept = whenFull === 'refuse' && !shared ? this.#parts.size() : 0;
    const pending = whenFull === 'refuse' ? this.#waiting + this.#writing : 0;
    if (kept + pending + count > maxMessages) throw new OutboxFullError(maxMessages);
  }

  /** Where the oldest make room, those that still wait are told. */
  #evict(): void {
    const { maxMessages } = this.#parts;
    let next = this.#first;
    while (this.#waiting > maxMessages && next !== undefined) {
      const place = next;
      next = place.next;
      if (place.state === 'waiting') this.#abandon(place, new OutboxFullError(maxMessages));
    }
  }

  /** Its caller waits no longer. */
  #abandon(place: Place, error: unknown): void {
    place.awaited = false;
    if (place.state === 'waiting') {
      this.#unlink(place);
      place.state = 'gone';
      this.#waiting -= place.messages.length;
      this.#sends -= 1;
    }
    place.reject(error);
    this.#parts.changed();
  }

  #unlink(place: Place): void {
    const { previous, next } = place;
    place.previous = undefined;
    place.next = undefined;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
  }

  #written(place: Place): void {
    place.state = 'gone';
    this.#writing -= place.messages.length;
    this.#sends -= 1;
  }
}

/** About what a message takes, in bytes. */
function sizeOf({ key, value }: Message): number {
  return (key?.length ?? 0) + (value?.length ?? 0);
}
