/**
 * An outbox: messages that could not be sent are kept, in order, and sent when the broker is back.
 * While it holds any, later ones are kept behind them, those of other topics too, so that order stays.
 * What was kept is written at least once.
 */
import { type Clock, checkOptions, InvalidOptionError, report, systemClock } from '@resil/core';
import { Intake, type Place, type Ticket } from './outbox-intake.js';
import {
  OutboxFullError,
  type OutboxOptions,
  type OutboxStore,
  outboxDefaults,
  outboxRules,
  type StoredEntry,
} from './outbox-options.js';
import { type Send, Sending } from './outbox-sending.js';

/** Longest wait for what is on its way when the outbox stops, in ms. */
const STOP_TIMEOUT = 5_000;

/** How often a shared store is asked to keep something while others fill it. */
const MAX_TRIES = 10;

/** Keeps what could not be sent. One outbox belongs to one producer. */
export class Outbox {
  readonly #store: OutboxStore;
  readonly #options: {
    readonly maxMessages: number;
    readonly whenFull: 'refuse' | 'drop-oldest';
    readonly batchSize: number;
    readonly retryDelay: number;
  };
  readonly #intake: Intake;
  readonly #onDropped: OutboxOptions['onDropped'];
  #clock: Clock = systemClock;
  #sending: Sending | undefined;
  #size = 0;
  #opened: Promise<void> | undefined;
  /** Sends the store's messages; `undefined` while there is nothing to do. */
  #relaying: Promise<void> | undefined;
  readonly #drainers: (() => void)[] = [];
  #stopped = true;
  #cancelWait = (): void => {};
  #cancelWatch = (): void => {};
  /**
   * What changes the store or its size does so one after the other, so that no count is lost: first what
   * the relay asks for, one thing at a time, then the rest in the order in which it was asked for.
   */
  readonly #relayed: (() => Promise<unknown>)[] = [];
  readonly #others: (() => Promise<unknown>)[] = [];
  /** Whether a change is under way. */
  #changing = false;
  /** Whether a group is to be written that has not begun: what comes now will be part of it. */
  #appending = false;

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
      keepTimeout = outboxDefaults.keepTimeout,
    } = options;
    this.#store = options.store;
    this.#options = { maxMessages, whenFull, batchSize, retryDelay };
    this.#onDropped = options.onDropped;
    this.#intake = new Intake({
      maxMessages,
      whenFull,
      keepTimeout,
      clock: () => this.#clock,
      size: () => this.#size,
      shared: options.store.shared,
      changed: () => {
        this.#advance();
        this.#tellDrained();
      },
    });
  }

  /** Messages that are kept. */
  get size(): number {
    return this.#size;
  }

  /** Resolves when nothing is kept any more. */
  async drained(): Promise<void> {
    await this.#inTurn(() => this.#open());
    if (this.#size + this.#intake.sends === 0) return;
    await new Promise<void>((resolve) => this.#drainers.push(resolve));
  }

  /** @internal */
  attach(send: Send, clock: Clock | undefined): void {
    if (this.#sending !== undefined) {
      throw new InvalidOptionError('resilient.fallback', this, 'must be an outbox of its own');
    }
    this.#sending = new Sending(send, (error) => this.#drop(1, error));
    this.#clock = clock ?? systemClock;
  }

  /** Opens the store and begins to send what it holds. Called when the producer connects. */
  async start(): Promise<void> {
    this.#stopped = false;
    await this.#inTurn(() => this.#open());
    this.#wake();
    if (this.#store.shared) this.#watch();
  }

  /**
   * Stops sending; what is kept stays kept. Called when the producer disconnects. What is on its way is
   * waited for, but not longer than 5 s: a broker that is away may never answer, and a store neither. A
   * store that is at work then is closed when it comes back.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelWait();
    this.#cancelWatch();
    const closed = this.#close();
    let cancel = (): void => {};
    const hung = new Promise<void>((resolve) => {
      cancel = this.#clock.schedule(() => {
        this.#sending?.giveUp();
        if (!this.#changing) return;
        closed.catch((error: unknown) => report(error, 'outbox'));
        resolve();
      }, STOP_TIMEOUT);
    });
    await Promise.race([closed, hung]).finally(cancel);
  }

  /** @internal Announces a send, so that what is kept is kept in the order of the calls. */
  enter(): Ticket {
    return this.#intake.enter();
  }

  async #close(): Promise<void> {
    await this.#relaying;
    await this.#inTurn(async () => {
      if (this.#opened === undefined) return;
      await this.#opened;
      this.#opened = undefined;
      await this.#store.close();
    });
  }

  /** Has what waits written, in its turn, with all that comes until then. */
  #advance(): void {
    if (this.#appending || !this.#intake.ready) return;
    this.#appending = true;
    void this.#inTurn(async () => {
      this.#appending = false;
      const group = this.#intake.take();
      this.#advance();
      // Who waited may have left meanwhile.
      if (group.length > 0) await this.#keep(group);
      this.#tellDrained();
    });
  }

  #inTurn<T>(change: () => Promise<T>, queue = this.#others): Promise<T> {
    const done = new Promise<T>((resolve, reject) => {
      queue.push(() => change().then(resolve, reject));
    });
    if (!this.#changing) void this.#change();
    return done;
  }

  async #change(): Promise<void> {
    this.#changing = true;
    // What comes in the same turn of the loop comes together.
    await undefined;
    for (;;) {
      const next = this.#relayed.shift() ?? this.#others.shift();
      if (next === undefined) break;
      await next();
    }
    this.#changing = false;
  }

  /** In turn only. Never rejects: each send hears of its own. */
  async #keep(group: readonly Place[]): Promise<void> {
    const fail = (error: unknown): void => {
      for (const place of group) {
        if (place.state === 'writing') this.#intake.failed(place, error);
      }
    };
    try {
      await this.#open();
    } catch (error) {
      fail(error);
      return;
    }
    try {
      await this.#append(group);
    } catch (error) {
      const rest = group.filter(({ state, awaited }) => state === 'writing' && awaited);
      // One of them may be at fault: none fails for another's sake.
      if (group.length > 1) for (const place of rest) await this.#keep([place]);
      fail(error);
    }
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

  async #append(group: readonly Place[]): Promise<void> {
    let rest = group;
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      // Of a shared store only the store itself knows how much it holds; the first try tells.
      if (tries > 0 || !this.#store.shared) rest = await this.#makeRoom(rest);
      if (rest.length === 0) return;
      const messages = rest.flatMap((place) => place.messages);
      const { kept, size } = await this.#store.append(messages, this.#options.maxMessages);
      this.#size = size;
      if (kept) {
        for (const place of rest) this.#intake.done(place);
        this.#wake();
        return;
      }
    }
    throw new OutboxFullError(this.#options.maxMessages);
  }

  /** Drops the oldest for them, or refuses those that there is no room for; gives the others. */
  async #makeRoom(group: readonly Place[]): Promise<readonly Place[]> {
    const { maxMessages, whenFull } = this.#options;
    let room = maxMessages - this.#size;
    if (whenFull === 'drop-oldest') {
      const count = group.reduce((sum, { messages }) => sum + messages.length, 0);
      if (count <= room) return group;
      const dropped = await this.#store.drop(count - room);
      this.#size -= dropped;
      if (dropped > 0) this.#drop(dropped, new OutboxFullError(maxMessages));
      return group;
    }
    return group.filter((place) => {
      const fits = place.messages.length <= room;
      if (fits) room -= place.messages.length;
      else this.#intake.failed(place, new OutboxFullError(maxMessages));
      return fits;
    });
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
    if (this.#size + this.#intake.sends > 0) return;
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
      const sent = (await this.#sending?.run(entries, () => this.#stopped)) ?? [];
      if (sent.length > 0) await this.#inTurn(() => this.#remove(sent), this.#relayed);
      if (sent.length < entries.length) await this.#pause();
    }
  }

  async #read(): Promise<readonly StoredEntry[] | undefined> {
    try {
      const { batchSize } = this.#options;
      // In turn, so that it does not meet the oldest being dropped.
      const entries = await this.#inTurn(() => this.#store.oldest(batchSize), this.#relayed);
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
