/** What an adapter has to tell for its contract, and the bench that the contract's tests work on. */
import assert from 'node:assert/strict';
import type { CallOptions } from '@resil/core';
import { eventually, rejection, type TestRunner, within } from './test-runner.js';

/**
 * How the server treats the calls that reach it from now on.
 *
 * - `none`: it answers each with a success.
 * - `failure`: it answers each with one and the same failure: the dependency's (so a breaker counts
 *   it) and repeatable (so a retry repeats a call that is marked `idempotent`).
 * - `hang`: it takes them and does not answer before the client gives up.
 *
 * Calls that hang already may be left alone.
 */
export type AdapterFault = 'none' | 'failure' | 'hang';

/** The options that the suite gives to `resilient`: the vocabulary that every adapter shares. */
export interface AdapterContractOptions {
  /** Name in events. */
  readonly name?: string;
  /** Milliseconds for the whole call; `false` for no limit. */
  readonly totalTimeout?: number | false;
  /** Milliseconds for each attempt; `false` for no limit. */
  readonly attemptTimeout?: number | false;
  /** Options of the retry; `false` for one attempt. */
  readonly retry?:
    | false
    | {
        readonly maxAttempts: number;
        readonly baseDelay: number;
        readonly maxDelay: number;
        readonly jitter: 'none';
        readonly budget: false;
      };
  /** Options of the circuit breaker; `false` for none. */
  readonly circuitBreaker?:
    | false
    | { readonly failureThreshold: number; readonly resetTimeout: number };
  /** Options of the bulkhead; `false` for none. */
  readonly bulkhead?:
    | false
    | { readonly maxConcurrentCalls: number; readonly maxQueueSize: number };
}

/** What {@link describeAdapterContract} has to know about an adapter. */
export interface AdapterContract<Server, Target> {
  /** The test runner's functions. */
  readonly runner: TestRunner;
  /** Name of the adapter, for the suite's title. */
  readonly name: string;
  /** Starts the real server; called once, before the first test. */
  start(): Server | Promise<Server>;
  /** Stops it; called once, after the last test. */
  stop(server: Server): unknown;
  /** A fresh target without protection (a client, a pool) connected to the server. */
  target(server: Server): Target | Promise<Target>;
  /** Closes a target that {@link AdapterContract.target} gave, whatever state it is in. Default: nothing to close. */
  release?(target: Target): unknown;
  /** The adapter: `(target, options) => resilient(target, options)`. */
  resilient(target: Target, options?: AdapterContractOptions): Target;
  /**
   * Makes one call by `target`, protected or not. `options` go where the host takes them
   * (`{ resilience: options }`). Must resolve to the same value each time, one that
   * `assert.deepStrictEqual` can compare.
   */
  call(target: Target, options?: CallOptions): Promise<unknown>;
  /** Makes the server treat calls in this way from now on. */
  failWith(server: Server, fault: AdapterFault): unknown;
  /** How many calls have reached the server since it started, hanging ones included. */
  received(server: Server): number | Promise<number>;
  /**
   * The abort reason inside what a call rejects with after its caller aborted it. Default: the error
   * itself or its `cause`.
   */
  abortReason?(error: unknown): unknown;
  /**
   * The library's own error (timeout, open circuit, full bulkhead) inside what a call rejects with.
   * Default: the error itself.
   */
  resilienceError?(error: unknown): unknown;
  /**
   * What has to be the same in the error of a protected and of an unprotected call. Default: its
   * prototype, `name`, `code` and `message`.
   */
  errorIdentity?(error: unknown): unknown;
  /** Things that `resilient` must refuse to wrap. Default: `undefined`, `null`, `42` and `{}`. */
  readonly badTargets?: readonly unknown[];
  /** More options that must be refused, each with what the message must contain. */
  readonly badOptions?: readonly (readonly [options: object, message: RegExp])[];
}

const OFF: Required<Omit<AdapterContractOptions, 'name'>> = Object.freeze({
  totalTimeout: false,
  attemptTimeout: false,
  retry: false,
  circuitBreaker: false,
  bulkhead: false,
});
/** The server, the targets of the running test, and the questions that the tests ask. */
export class AdapterBench<Server, Target> {
  readonly adapter: AdapterContract<Server, Target>;
  #server: Promise<Server> | undefined;
  #targets: Target[] = [];

  constructor(adapter: AdapterContract<Server, Target>) {
    this.adapter = adapter;
  }

  async run(body: (bench: this) => Promise<void>): Promise<void> {
    this.#server ??= Promise.resolve(this.adapter.start());
    await this.failWith('none');
    try {
      await body(this);
    } finally {
      await this.failWith('none');
      for (const target of this.#targets.splice(0)) {
        await within('release', Promise.resolve(this.adapter.release?.(target)));
      }
    }
  }

  async stop(): Promise<void> {
    if (this.#server !== undefined) await this.adapter.stop(await this.#server);
  }

  async bare(): Promise<Target> {
    const target = await this.adapter.target((await this.#server) as Server);
    this.#targets.push(target);
    return target;
  }

  /** A protected target; what `options` doesn't name is switched off. */
  async protected(options: AdapterContractOptions): Promise<Target> {
    return this.protect(await this.bare(), options);
  }

  protect(target: Target, options: AdapterContractOptions): Target {
    return this.adapter.resilient(target, { ...OFF, ...options });
  }

  async failWith(fault: AdapterFault): Promise<void> {
    await this.adapter.failWith((await this.#server) as Server, fault);
  }

  async received(): Promise<number> {
    return this.adapter.received((await this.#server) as Server);
  }

  /** Waits until so many calls have reached the server beyond `before`. */
  arrived(before: number, count: number): Promise<void> {
    return eventually(`${count} calls at the server`, async () => {
      return (await this.received()) >= before + count;
    });
  }

  call(target: Target, options: CallOptions = {}): Promise<unknown> {
    return within('a call', this.adapter.call(target, { idempotent: true, ...options }));
  }

  fail(target: Target, options: CallOptions = {}): Promise<unknown> {
    return rejection('a call', this.adapter.call(target, { idempotent: true, ...options }));
  }

  assertAborted(error: unknown, reason: unknown): void {
    const found = this.adapter.abortReason
      ? this.adapter.abortReason(error)
      : error === reason
        ? error
        : (error as Error).cause;
    assert.equal(found, reason, `the abort reason is not in ${String(error)}`);
  }

  assertCode(error: unknown, code: string): void {
    const found = this.adapter.resilienceError ? this.adapter.resilienceError(error) : error;
    assert.equal((found as { code?: unknown } | undefined)?.code, code, String(error));
  }

  identity(error: unknown): unknown {
    if (this.adapter.errorIdentity) return this.adapter.errorIdentity(error);
    const { name, code, message } = error as Error & { code?: unknown };
    return { prototype: Object.getPrototypeOf(error), name, code, message };
  }
}
