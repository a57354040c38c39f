/**
 * Where a cache keeps its answers. In memory: the least recently used entry goes first, when there are too
 * many or they are too big together; nothing is copied, and nothing has a timer: what is too old is
 * dropped when somebody asks for it, or when its turn to go has come.
 */
import { type Clock, systemClock } from './clock.js';
import {
  checkOptions,
  clockRule,
  countRule,
  functionRule,
  InvalidOptionError,
  type OptionRules,
} from './validate.js';

/** An answer that was kept, and its age in milliseconds. */
export interface CachedAnswer {
  readonly value: unknown;
  readonly age: number;
}

/**
 * Keeps answers by key: the contract of `memoryStore`, and of your own in front of a shared cache. Its
 * members may give promises. One that fails, or does not answer within `storeTimeout`, is reported and
 * counts as if it held nothing.
 */
export interface CacheStore {
  /** The answer of a key; `undefined` if there is none. */
  get(key: string): CachedAnswer | undefined | PromiseLike<CachedAnswer | undefined>;
  /** Keeps an answer for `duration` milliseconds; it may go before. */
  set(key: string, value: unknown, duration: number): void | PromiseLike<void>;
  /** Forgets an answer. */
  delete(key: string): void | PromiseLike<void>;
}

/** Options of {@link memoryStore}. */
export interface MemoryStoreOptions {
  /**
   * Entries at most.
   *
   * At least 1.
   *
   * @defaultValue `memoryStoreDefaults.maxEntries` (1,000)
   */
  readonly maxEntries?: number | undefined;
  /**
   * Bytes of all entries together, at most; needs `sizeOf`. An answer that is bigger alone is not kept.
   *
   * At least 1; `Infinity` for no limit.
   *
   * @defaultValue `memoryStoreDefaults.maxBytes` (`Infinity`)
   */
  readonly maxBytes?: number | undefined;
  /** Bytes that an answer takes, at least 0. Must be given with `maxBytes`. Default: none are counted. */
  readonly sizeOf?: ((value: unknown, key: string) => number) | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link memoryStore}. */
export const memoryStoreDefaults: { readonly maxEntries: number; readonly maxBytes: number } =
  Object.freeze({ maxEntries: 1_000, maxBytes: Infinity });

const rules: OptionRules<MemoryStoreOptions> = {
  maxEntries: countRule(1),
  maxBytes: countRule(1, true),
  sizeOf: functionRule,
  clock: clockRule,
};

interface Entry {
  readonly value: unknown;
  readonly storedAt: number;
  readonly expiresAt: number;
  readonly size: number;
}

/** Answers in memory. May be shared by caches whose keys differ. */
export class MemoryStore implements CacheStore {
  readonly clock: Clock;
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  readonly #sizeOf: ((value: unknown, key: string) => number) | undefined;
  /** The least recently used first, which is the order in which a Map keeps what is put in anew. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #evicted = 0;

  /** @throws {@link InvalidOptionError} */
  constructor(options: MemoryStoreOptions = {}) {
    checkOptions('memoryStore', options, rules);
    this.clock = options.clock ?? systemClock;
    this.#maxEntries = options.maxEntries ?? memoryStoreDefaults.maxEntries;
    this.#maxBytes = options.maxBytes ?? memoryStoreDefaults.maxBytes;
    this.#sizeOf = options.sizeOf;
    if (this.#maxBytes < Infinity && this.#sizeOf === undefined)
      throw new InvalidOptionError('memoryStore.sizeOf', undefined, 'must be given with maxBytes');
  }

  /** Entries at this moment, those that are too old included. */
  get size(): number {
    return this.#entries.size;
  }

  /** Bytes that they take; 0 without `sizeOf`. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Entries that had to go for others. */
  get evicted(): number {
    return this.#evicted;
  }

  get(key: string): CachedAnswer | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const now = this.clock.now();
    this.#entries.delete(key);
    if (now >= entry.expiresAt) {
      this.#bytes -= entry.size;
      return undefined;
    }
    this.#entries.set(key, entry);
    return { value: entry.value, age: now - entry.storedAt };
  }

  /** @throws TypeError if `sizeOf` gives no size. */
  set(key: string, value: unknown, duration: number): void {
    const size = this.#sizeOf?.(value, key) ?? 0;
    this.delete(key);
    if (!(size >= 0)) throw new TypeError(`sizeOf gave ${size} instead of a number of bytes`);
    if (size > this.#maxBytes || !(duration > 0)) return;
    const storedAt = this.clock.now();
    this.#entries.set(key, { value, storedAt, expiresAt: storedAt + duration, size });
    this.#bytes += size;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#maxEntries && this.#bytes <= this.#maxBytes) return;
      this.delete(oldest);
      this.#evicted++;
    }
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.size;
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }
}

/**
 * A store in memory, for the option `store` of one cache, or of many.
 *
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { cache, memoryStore } from '@resil/core';
 *
 * const store = memoryStore({ maxEntries: 500, maxBytes: 1_000_000, sizeOf: (value) => String(value).length });
 * await cache({ key: (call) => call.key, store }).execute(async () => 'page', { key: '/index' });
 * ```
 */
export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  return new MemoryStore(options);
}
