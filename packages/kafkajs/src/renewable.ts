/**
 * A producer object of kafkajs that can be replaced. An idempotent one doesn't know its sequence
 * numbers any more after a send whose outcome is unknown, and would lose the next message; one that
 * was fenced, or whose commit failed, refuses everything. What the user holds goes on working. One that
 * somebody else has made can't be replaced: it refuses what it could lose.
 */
import { isResilienceError, ResilienceError, report } from '@resil/core';
import type { Producer } from 'kafkajs';
import { meaningOf } from './classify.js';

type On = (eventName: string, listener: (event: never) => void) => () => void;

/** A producer object and what is still going on with it. */
interface Generation {
  readonly producer: Producer;
  readonly connected: Promise<void>;
  running: number;
  retired: boolean;
  failed: boolean;
}

/** A producer that was wrapped ready-made can't be used any more. Code `RESIL_PRODUCER_SPENT`; nothing was sent. */
export class ProducerSpentError extends ResilienceError {
  constructor(cause: unknown) {
    super(
      'RESIL_PRODUCER_SPENT',
      'this producer does not know what it has written, and could lose the next message; make another, or wrap the Kafka client, whose producers are replaced',
      { strategy: 'kafkajs', refusal: true, cause },
    );
  }
}

/** Gives the producer object to use. */
export class Renewable {
  readonly #create: (() => Producer) | undefined;
  #spent: { readonly cause: unknown } | undefined;
  readonly #listeners = new Map<
    object,
    { eventName: string; listener: (event: never) => void; end: () => void }
  >();
  #generation: Generation;
  /** Whether the user wants it to be connected, and whether it has been. */
  #wanted = false;
  #open = false;
  #connecting: Promise<void> | undefined;
  #renewals = 0;

  /** Without `create`, a producer that would be replaced is not used any more. */
  constructor(first: Producer, create?: () => Producer) {
    this.#create = create;
    this.#generation = {
      producer: first,
      connected: Promise.resolve(),
      running: 0,
      retired: false,
      failed: false,
    };
  }

  /** The producer object of this moment. */
  get producer(): Producer {
    return this.#generation.producer;
  }

  /** How often it was replaced. */
  get renewals(): number {
    return this.#renewals;
  }

  async connect(): Promise<void> {
    this.#wanted = true;
    this.#connecting ??= this.producer
      .connect()
      .then(() => {
        this.#open = true;
      })
      .finally(() => {
        this.#connecting = undefined;
      });
    await this.#connecting;
  }

  async disconnect(): Promise<void> {
    this.#wanted = false;
    this.#open = false;
    await this.producer.disconnect();
  }

  /** Listens to this producer object and to those that replace it. */
  on(eventName: string, listener: (event: never) => void): () => void {
    const id = {};
    const end = (this.producer.on as unknown as On)(eventName, listener);
    this.#listeners.set(id, { eventName, listener, end });
    return () => {
      this.#listeners.get(id)?.end();
      this.#listeners.delete(id);
    };
  }

  /** Works with the producer object, and replaces it if the error says so. */
  async use<T>(
    work: (producer: Producer) => Promise<T>,
    spoils: (error: unknown) => boolean,
  ): Promise<T> {
    if (this.#spent !== undefined) throw new ProducerSpentError(this.#spent.cause);
    // The broker was away when it was to connect.
    if (this.#wanted && !this.#open) await this.connect();
    if (this.#generation.failed) this.retire(this.#generation.producer, undefined);
    const generation = this.#generation;
    await generation.connected;
    generation.running += 1;
    try {
      return await work(generation.producer);
    } catch (error) {
      if (spoils(error)) this.retire(generation.producer, error);
      throw error;
    } finally {
      generation.running -= 1;
      if (generation.retired && generation.running === 0) leave(generation.producer);
    }
  }

  /** Puts another in the place of a producer object, unless that has happened already. */
  retire(producer: Producer, cause: unknown): void {
    const old = this.#generation;
    if (old.producer !== producer) return;
    if (this.#create === undefined) {
      this.#spent ??= { cause };
      return;
    }
    const next = this.#create();
    this.#renewals += 1;
    for (const entry of this.#listeners.values()) {
      entry.end = (next.on as unknown as On)(entry.eventName, entry.listener);
    }
    const connected = this.#open ? next.connect() : Promise.resolve();
    const generation = { producer: next, connected, running: 0, retired: false, failed: false };
    connected.catch(() => {
      // The next use tries once more, with another.
      generation.failed = true;
    });
    this.#generation = generation;
    old.retired = true;
    if (old.running === 0) leave(old.producer);
  }
}

/** Whether an error of a send says that an idempotent producer's sequence numbers are not known any more. */
export function spoilsIdempotent(error: unknown): boolean {
  if (isResilienceError(error)) return error.code === 'RESIL_OUTCOME_UNKNOWN';
  const meaning = meaningOf(error);
  return meaning !== undefined && (meaning.fault === 'producer' || meaning.effect === 'maybe');
}

/** Whether an error says that a producer object has no future. */
export function isFatal(error: unknown): boolean {
  return meaningOf(error)?.fault === 'producer';
}

function leave(producer: Producer): void {
  producer
    .disconnect()
    .catch((error: unknown) => report(error, 'disconnect of a replaced producer'));
}
