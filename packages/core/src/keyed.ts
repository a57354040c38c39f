/**
 * Keyed pipelines: one pipeline per key (tenant, host, shard), made when the key is first used, so
 * that one bad key does not open the circuit of the others. Bounded: the key that was not used for
 * longest goes when there are more than `maxKeys`, and a key goes after `idleTimeout` without use,
 * noticed at the next use of any key, without a timer. The pipeline of a key that goes is closed; calls
 * that still run keep it.
 */
import type { Call, CallOptions } from './call.js';
import { type Clock, systemClock } from './clock.js';
import { type Dependency, dependencyRule } from './dependency.js';
import { describeDependency, jsonRecord, type KeyedDescription } from './description.js';
import { Emitter } from './emitter.js';
import type { ResilienceListener } from './events.js';
import { Pipeline } from './pipeline.js';
import { register, unregister } from './registry.js';
import {
  checkOptions,
  clockRule,
  countRule,
  InvalidOptionError,
  nameRule,
  type OptionRules,
  positiveDurationRule,
} from './validate.js';

/** Options of {@link keyed}. */
export interface KeyedOptions {
  /**
   * Keys kept at most; more than are in use at a time.
   *
   * At least 1.
   *
   * @defaultValue `keyedDefaults.maxKeys` (10,000)
   */
  readonly maxKeys?: number | undefined;
  /**
   * Milliseconds without use after which a key is forgotten, with the state of its circuit and budget.
   *
   * Above 0; `Infinity` keeps keys until `maxKeys` pushes them out.
   *
   * @defaultValue `keyedDefaults.idleTimeout` (600,000)
   */
  readonly idleTimeout?: number | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Name of them all, for tools. Default: none. */
  readonly name?: string | undefined;
  /** What they stand before, for tools. Default: not known. */
  readonly dependency?: Dependency | undefined;
}

/** Defaults of {@link keyed}. */
export const keyedDefaults: {
  readonly maxKeys: number;
  readonly idleTimeout: number;
} = Object.freeze({
  maxKeys: 10_000,
  idleTimeout: 600_000,
});

/** Defaults of {@link Keyed.describe}. */
export const describeKeyedDefaults: { readonly maxKeys: number } = Object.freeze({ maxKeys: 100 });

/** What {@link Keyed.describe} may be told. */
export interface DescribeKeyedOptions {
  /** Pipelines shown at most, those used last; 0 shows none, `Infinity` all. @defaultValue `describeKeyedDefaults.maxKeys` (100) */
  readonly maxKeys?: number | undefined;
}

const rules: OptionRules<KeyedOptions> = {
  maxKeys: countRule(1),
  idleTimeout: positiveDurationRule(true),
  clock: clockRule,
  name: nameRule,
  dependency: dependencyRule,
};

/** A key, its pipeline, and its neighbours in order of use. */
interface Slot {
  readonly key: string;
  readonly pipeline: Pipeline;
  /** Options of a call that brings none of its own. */
  readonly options: CallOptions;
  endForwarding: (() => void) | undefined;
  usedAt: number;
  older: Slot | undefined;
  newer: Slot | undefined;
}

/** One pipeline per key. An instance is shared by all calls. */
export class Keyed {
  /** Name of them all, if they have one. */
  readonly name: string | undefined;
  /** What they stand before, where that was told. */
  readonly dependency: Dependency | undefined;
  readonly #factory: (key: string) => Pipeline;
  readonly #maxKeys: number;
  readonly #idleTimeout: number;
  readonly #clock: Clock;
  readonly #slots = new Map<string, Slot>();
  readonly #emitter = new Emitter();
  readonly #counters = { created: 0, evicted: 0, expired: 0 };
  #draining = false;
  #closed = false;
  #oldest: Slot | undefined;
  #newest: Slot | undefined;

  /** @throws {@link InvalidOptionError} */
  constructor(factory: (key: string) => Pipeline, options: KeyedOptions = {}) {
    if (typeof factory !== 'function')
      throw new InvalidOptionError('keyed: factory', factory, 'must be a function');
    checkOptions('keyed', options, rules);
    this.#factory = factory;
    this.#maxKeys = options.maxKeys ?? keyedDefaults.maxKeys;
    this.#idleTimeout = options.idleTimeout ?? keyedDefaults.idleTimeout;
    this.#clock = options.clock ?? systemClock;
    this.name = options.name;
    this.dependency = options.dependency;
    register(this);
  }

  /** Keys in use: idle ones are dropped first. */
  get size(): number {
    this.#dropIdle(this.#clock.now());
    return this.#slots.size;
  }

  /** The pipeline of a key, made if it is new. */
  for(key: string): Pipeline {
    return this.#use(key).pipeline;
  }

  /** Runs `operation` through the pipeline of `key`. See {@link Pipeline.execute}. */
  execute<T>(
    key: string,
    operation: (call: Call) => T | PromiseLike<T>,
    options?: CallOptions,
  ): Promise<T> {
    let slot: Slot;
    try {
      slot = this.#use(key);
    } catch (error) {
      return Promise.reject(error);
    }
    return slot.pipeline.execute(
      operation,
      options === undefined ? slot.options : { ...options, key },
    );
  }

  /** Drains the pipelines of all keys, also of those that come later. See {@link Pipeline.drain}. */
  drain(): void {
    this.#draining = true;
    for (const { pipeline } of this.#slots.values()) pipeline.drain();
  }

  /** Closes the pipelines of all keys, also of those that come later. See {@link Pipeline.close}. */
  close(): void {
    this.#closed = true;
    for (const { pipeline } of this.#slots.values()) pipeline.close();
    unregister(this);
  }

  /**
   * The keys in use and the pipelines of those used last, as JSON.
   *
   * `maxKeys` is how many pipelines are shown at most: a count of at least 0, or `Infinity`.
   *
   * @defaultValue `describeKeyedDefaults.maxKeys` (100)
   */
  describe({
    maxKeys = describeKeyedDefaults.maxKeys,
  }: DescribeKeyedOptions = {}): KeyedDescription {
    checkOptions('describe', { maxKeys }, { maxKeys: countRule(0, true) });
    const { size } = this;
    const pipelines: KeyedDescription['pipelines'][number][] = [];
    for (
      let slot = this.#newest;
      slot !== undefined && pipelines.length < maxKeys;
      slot = slot.older
    )
      pipelines.push({ ...slot.pipeline.describe(), key: slot.key });
    return {
      type: 'keyed',
      name: this.name ?? null,
      dependency: describeDependency(this.dependency),
      options: jsonRecord({ maxKeys: this.#maxKeys, idleTimeout: this.#idleTimeout }),
      state: { keys: size },
      counters: { ...this.#counters },
      pipelines,
    };
  }

  /** Calls `listener` with every event of every key's pipeline; the result ends it. */
  on(listener: ResilienceListener): () => void {
    const end = this.#emitter.add(listener);
    for (const slot of this.#slots.values()) this.#forward(slot);
    return () => {
      end();
      if (this.#emitter.observed) return;
      for (const slot of this.#slots.values()) stopForwarding(slot);
    };
  }

  #use(key: string): Slot {
    const now = this.#clock.now();
    let slot = this.#slots.get(key);
    if (slot === this.#newest && slot !== undefined && now - slot.usedAt < this.#idleTimeout) {
      slot.usedAt = now;
      return slot;
    }
    this.#dropIdle(now);
    slot = this.#slots.get(key);
    if (slot === undefined) slot = this.#create(key, now);
    else this.#unlink(slot);
    this.#append(slot, now);
    if (this.#slots.size > this.#maxKeys) {
      this.#drop(this.#oldest as Slot);
      this.#counters.evicted++;
    }
    return slot;
  }

  #create(key: string, now: number): Slot {
    if (typeof key !== 'string')
      throw new InvalidOptionError('keyed: key', key, 'must be a string');
    const made = this.#factory(key);
    if (!(made instanceof Pipeline))
      throw new InvalidOptionError('keyed: factory result', made, 'must be a pipeline');
    const slot: Slot = {
      key,
      pipeline: unregister(made),
      options: { key },
      endForwarding: undefined,
      usedAt: now,
      older: undefined,
      newer: undefined,
    };
    if (this.#draining) made.drain();
    if (this.#closed) made.close();
    this.#slots.set(key, slot);
    this.#counters.created++;
    if (this.#emitter.observed) this.#forward(slot);
    return slot;
  }

  #dropIdle(now: number): void {
    for (let slot = this.#oldest; slot !== undefined; slot = this.#oldest) {
      if (now - slot.usedAt < this.#idleTimeout) return;
      this.#drop(slot);
      this.#counters.expired++;
    }
  }

  #drop(slot: Slot): void {
    this.#unlink(slot);
    this.#slots.delete(slot.key);
    stopForwarding(slot);
    slot.pipeline.close();
  }

  #append(slot: Slot, now: number): void {
    slot.usedAt = now;
    slot.older = this.#newest;
    slot.newer = undefined;
    if (this.#newest === undefined) this.#oldest = slot;
    else this.#newest.newer = slot;
    this.#newest = slot;
  }

  #unlink(slot: Slot): void {
    if (slot.older === undefined) this.#oldest = slot.newer;
    else slot.older.newer = slot.newer;
    if (slot.newer === undefined) this.#newest = slot.older;
    else slot.newer.older = slot.older;
  }

  #forward(slot: Slot): void {
    slot.endForwarding ??= slot.pipeline.on((event, call) => this.#emitter.emit(event, call));
  }
}

/**
 * One pipeline per key.
 *
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * import { circuitBreaker, keyed, pipeline } from '@resil/core';
 *
 * const shards = keyed((key) => pipeline({ name: 'shards', key }, circuitBreaker({ name: key })), { maxKeys: 100 });
 * await shards.execute('shard-7', async () => 'rows');
 * ```
 */
export function keyed(factory: (key: string) => Pipeline, options: KeyedOptions = {}): Keyed {
  return new Keyed(factory, options);
}

function stopForwarding(slot: Slot): void {
  slot.endForwarding?.();
  slot.endForwarding = undefined;
}
