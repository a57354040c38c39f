/**
 * Cache: a fallback that remembers, and saves the calls whose answer it knows.
 *
 *   age <  freshDuration                        the kept answer; nothing is called
 *   age <  freshDuration + staleDuration        the kept answer; one revalidation per key in the background
 *   age <  freshDuration + staleIfErrorDuration the call; if it fails or is refused, the kept answer
 *   else                                        the call
 *
 * The rules are those of HTTP (RFC 5861: stale-while-revalidate, stale-if-error), for any answer. Only what
 * `classify` calls a success is kept; failures are not (no negative caching). What the store does never
 * fails a call: an error is reported, a wait is bounded, and both count as a miss. A revalidation belongs to
 * nobody: it has a deadline of its own, doesn't keep the process alive, and its error is told as an event.
 */
import { type CachedAnswer, type CacheStore, MemoryStore, memoryStore } from './cache-store.js';
import type { Call } from './call.js';
import { givenKey, type KeyFunction, keyOf } from './call-key.js';
import type { CallState } from './call-state.js';
import type { Clock } from './clock.js';
import { expireAfter } from './deadline-wheel.js';
import { jsonRecord, type LayerDescription } from './description.js';
import { detach } from './detached-call.js';
import { report } from './emitter.js';
import { isRefusalOrTimeout, TimeoutError } from './errors.js';
import type { Strategy } from './layer.js';
import type { Classify, Outcome, Verdict } from './outcome.js';
import { SingleLayer } from './single-layer.js';
import {
  checkOptions,
  clockRule,
  durationRule,
  functionRule,
  nameRule,
  type OptionRules,
  objectRule,
  positiveDurationRule,
} from './validate.js';
import { discard, verdictOf } from './verdict.js';

/** Options of {@link cache}. */
export interface CacheOptions {
  /**
   * Milliseconds for which an answer is given without asking again.
   *
   * At least 0 (only ever stale).
   *
   * @defaultValue `cacheDefaults.freshDuration` (10,000)
   */
  readonly freshDuration?: number | undefined;
  /**
   * Milliseconds after that in which it is still given, while it is asked for anew in the background.
   *
   * @defaultValue `cacheDefaults.staleDuration` (0)
   */
  readonly staleDuration?: number | undefined;
  /**
   * Milliseconds after `freshDuration` in which it is given in place of a failure or refusal.
   *
   * @defaultValue `cacheDefaults.staleIfErrorDuration` (0)
   */
  readonly staleIfErrorDuration?: number | undefined;
  /** Milliseconds that a revalidation may take; above 0. @defaultValue `cacheDefaults.revalidateTimeout` (10,000) */
  readonly revalidateTimeout?: number | undefined;
  /**
   * What a call asks for; one without a key (`undefined`) goes past the cache. Everything that makes the
   * answer another one has to be in it: arguments, and who asks. There is no default: `call.key` may
   * stand for a host, or for the whole pipeline.
   */
  readonly key: KeyFunction;
  /** Where answers are kept. Default: a {@link memoryStore} of its own. */
  readonly store?: CacheStore | undefined;
  /** Milliseconds to wait for an answer of the store; above 0. @defaultValue `cacheDefaults.storeTimeout` (100) */
  readonly storeTimeout?: number | undefined;
  /** Tells what may be kept (a success) and what a stale answer may stand for (a failure). Default: that of the pipeline. */
  readonly classify?: Classify | undefined;
  /** Name in events. @defaultValue `'cache'` */
  readonly name?: string | undefined;
  /** Source of time. Default: that of the store, else that of the pipeline. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link cache}. */
export const cacheDefaults: {
  readonly freshDuration: number;
  readonly staleDuration: number;
  readonly staleIfErrorDuration: number;
  readonly revalidateTimeout: number;
  readonly storeTimeout: number;
  readonly name: string;
} = Object.freeze({
  freshDuration: 10_000,
  staleDuration: 0,
  staleIfErrorDuration: 0,
  revalidateTimeout: 10_000,
  storeTimeout: 100,
  name: 'cache',
});

const rules: OptionRules<CacheOptions> = {
  freshDuration: durationRule(),
  staleDuration: durationRule(),
  staleIfErrorDuration: durationRule(),
  revalidateTimeout: positiveDurationRule(),
  key: functionRule,
  store: objectRule('a store (get, set, delete)', ({ get, set, delete: remove }) =>
    [get, set, remove].every((fn) => typeof fn === 'function'),
  ),
  storeTimeout: positiveDurationRule(),
  classify: functionRule,
  name: nameRule,
  clock: clockRule,
};

type Next<T> = (call: Call) => Promise<T>;

/** A fallback that remembers. Shared by the calls that may share answers. */
export class Cache extends SingleLayer implements Strategy {
  readonly name: string;
  readonly clock: Clock | undefined;
  readonly store: CacheStore;
  readonly #key: KeyFunction;
  readonly #classify: Classify | undefined;
  readonly #times: {
    readonly freshDuration: number;
    readonly staleDuration: number;
    readonly staleIfErrorDuration: number;
    readonly revalidateTimeout: number;
    readonly storeTimeout: number;
  };
  readonly #revalidating = new Set<string>();
  readonly #counters = {
    hits: 0,
    stale: 0,
    misses: 0,
    past: 0,
    stored: 0,
    revalidations: 0,
    revalidationsFailed: 0,
    storeErrors: 0,
  };

  /** @throws {@link InvalidOptionError} */
  constructor(options: CacheOptions) {
    super();
    checkOptions('cache', options, rules);
    const defaults = cacheDefaults;
    this.name = options.name ?? defaults.name;
    this.store = options.store ?? memoryStore({ clock: options.clock });
    this.clock = options.clock ?? (this.store as Partial<MemoryStore>).clock;
    this.#key = givenKey('cache', options.key);
    this.#classify = options.classify;
    this.#times = {
      freshDuration: options.freshDuration ?? defaults.freshDuration,
      staleDuration: options.staleDuration ?? defaults.staleDuration,
      staleIfErrorDuration: options.staleIfErrorDuration ?? defaults.staleIfErrorDuration,
      revalidateTimeout: options.revalidateTimeout ?? defaults.revalidateTimeout,
      storeTimeout: options.storeTimeout ?? defaults.storeTimeout,
    };
  }

  describe(): LayerDescription {
    const { store } = this;
    return {
      type: 'cache',
      name: this.name,
      options: jsonRecord({ ...this.#times, key: this.#key, classify: this.#classify }),
      state: {
        revalidating: this.#revalidating.size,
        ...(store instanceof MemoryStore ? { entries: store.size, bytes: store.bytes } : {}),
      },
      counters: { ...this.#counters },
    };
  }

  run<T>(call: Call, next: (call: Call) => Promise<T>): Promise<T> {
    const key = keyOf(call, this.#key);
    if (key === undefined) {
      this.#counters.past++;
      return next(call);
    }
    const found = this.#read(key, call);
    if (!(found instanceof Promise)) return this.#answer(found, key, call as CallState, next);
    return found.then((answer) => {
      if (call.aborted) throw call.reason;
      return this.#answer(answer, key, call as CallState, next);
    });
  }

  #answer<T>(
    found: CachedAnswer | undefined,
    key: string,
    call: CallState,
    next: Next<T>,
  ): Promise<T> {
    const { freshDuration, staleDuration } = this.#times;
    if (found !== undefined && found.age < freshDuration) {
      this.#counters.hits++;
      if (call.observed) call.emit({ type: 'cache.hit', strategy: this.name, age: found.age });
      return Promise.resolve(found.value as T);
    }
    if (found !== undefined && found.age < freshDuration + staleDuration) {
      this.#tellStale(call, found.age, 'revalidate');
      this.#revalidate(key, call, next);
      return Promise.resolve(found.value as T);
    }
    this.#counters.misses++;
    if (call.observed) call.emit({ type: 'cache.miss', strategy: this.name });
    return this.#ask(found, key, call, next);
  }

  async #ask<T>(
    found: CachedAnswer | undefined,
    key: string,
    call: CallState,
    next: Next<T>,
    background = false,
  ): Promise<T> {
    const classify = this.#classify ?? call.scope.classify;
    const startedAt = call.now();
    let outcome: Outcome<T>;
    try {
      const value = await next(call);
      outcome = { ok: true, value, duration: call.now() - startedAt };
    } catch (error) {
      outcome = { ok: false, error, duration: call.now() - startedAt };
    }
    const verdict = verdictOf(classify, outcome, call);
    if (outcome.ok && verdict.kind === 'success') this.#keep(key, outcome.value, call);
    const unanswered =
      verdict.kind === 'failure' || (!outcome.ok && isRefusalOrTimeout(outcome.error));
    if (found !== undefined && unanswered && !call.cancelled) {
      const { freshDuration, staleIfErrorDuration } = this.#times;
      const age = found.age + outcome.duration;
      if (age < freshDuration + staleIfErrorDuration) {
        discard(verdict);
        this.#tellStale(call, age, 'error');
        return found.value as T;
      }
    }
    if (background) discardUnlessKept(verdict);
    if (outcome.ok) return outcome.value;
    throw outcome.error;
  }

  /** Asks anew in the background; one at a time for a key. */
  #revalidate(key: string, from: CallState, next: Next<unknown>): void {
    if (this.#revalidating.has(key)) return;
    this.#revalidating.add(key);
    this.#counters.revalidations++;
    const { call } = detach(from);
    const ended = (): void => {
      call.close();
      this.#revalidating.delete(key);
    };
    const inTime = (): Promise<unknown> => this.#inTime(call, next);
    this.#ask(undefined, key, call, inTime, true).then(ended, (error) => {
      ended();
      this.#counters.revalidationsFailed++;
      if (call.observed)
        call.emit({ type: 'cache.revalidation-failed', strategy: this.name, error });
    });
  }

  /** What a revalidation gives, unless it takes too long; what comes after that is not kept. */
  #inTime(call: CallState, next: Next<unknown>): Promise<unknown> {
    const { revalidateTimeout } = this.#times;
    const startedAt = call.now();
    return new Promise((resolve, reject) => {
      const expire = (): void => {
        const error = new TimeoutError(`${this.name} revalidation`, revalidateTimeout);
        reject(error);
        call.abort(error);
      };
      const forget = call.clock.schedule(expire, revalidateTimeout, true);
      next(call)
        .finally(forget)
        .then((value) => {
          if (call.aborted) this.#discardLate(value, call.now() - startedAt, call);
          else resolve(value);
        }, reject);
    });
  }

  /** Nobody reads what comes after the time limit. */
  #discardLate(value: unknown, duration: number, call: CallState): void {
    const classify = this.#classify ?? call.scope.classify;
    discard(verdictOf(classify, { ok: true, value, duration }, call));
  }

  #keep(key: string, value: unknown, call: CallState): void {
    const { freshDuration, staleDuration, staleIfErrorDuration } = this.#times;
    const duration = freshDuration + Math.max(staleDuration, staleIfErrorDuration);
    this.#counters.stored++;
    try {
      this.store.set(key, value, duration)?.then(undefined, (error) => this.#storeFailed(error));
    } catch (error) {
      this.#storeFailed(error);
    }
    if (call.observed) call.emit({ type: 'cache.stored', strategy: this.name, duration });
  }

  #read(key: string, call: Call): CachedAnswer | undefined | Promise<CachedAnswer | undefined> {
    try {
      const found = this.store.get(key);
      // `Promise.resolve` also tames a foreign promise whose `then` throws.
      // A store of somebody's own may say `null` for nothing.
      return isThenable(found) ? this.#bounded(Promise.resolve(found), call) : (found ?? undefined);
    } catch (error) {
      this.#storeFailed(error);
      return undefined;
    }
  }

  /** What an asynchronous store gives, unless it fails or takes too long, or the call is aborted. */
  #bounded(
    found: Promise<CachedAnswer | undefined>,
    call: Call,
  ): Promise<CachedAnswer | undefined> {
    const { storeTimeout } = this.#times;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        forgetDeadline();
        forgetAbort();
      };
      const fail = (error: unknown): void => {
        end();
        this.#storeFailed(error);
        resolve(undefined);
      };
      const forgetDeadline = expireAfter(call.clock, storeTimeout, () =>
        fail(new TimeoutError(`${this.name} store`, storeTimeout)),
      );
      const forgetAbort = call.onAbort((reason) => {
        forgetDeadline();
        reject(reason);
      });
      found.then((answer) => {
        end();
        resolve(answer ?? undefined);
      }, fail);
    });
  }

  #storeFailed(error: unknown): void {
    this.#counters.storeErrors++;
    report(error, `the store of '${this.name}'`);
  }

  #tellStale(call: Call, age: number, reason: 'revalidate' | 'error'): void {
    this.#counters.stale++;
    if (call.observed) call.emit({ type: 'cache.stale', strategy: this.name, age, reason });
  }
}

/**
 * A cache.
 *
 * @returns A layer; it gives the very value that it keeps, to each who asks.
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { cache } from '@resil/core';
 *
 * const prices = cache({
 *   key: (call) => call.key,
 *   freshDuration: 5_000,
 *   staleIfErrorDuration: 3_600_000,
 * });
 * const price = await prices.execute(async () => 42, { key: 'ACME' });
 * ```
 */
export function cache(options: CacheOptions): Cache {
  return new Cache(options);
}

/** Nobody reads what a revalidation gave, unless it is kept. */
function discardUnlessKept(verdict: Verdict): void {
  if (verdict.kind !== 'success') discard(verdict);
}

/** Whether a store answers later, be it by a promise that is not Node's. */
function isThenable(
  found: CachedAnswer | undefined | PromiseLike<CachedAnswer | undefined>,
): found is PromiseLike<CachedAnswer | undefined> {
  return typeof (found as Partial<PromiseLike<unknown>> | undefined)?.then === 'function';
}
