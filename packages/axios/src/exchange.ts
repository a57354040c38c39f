/**
 * One request through a pipeline: what it tells the pipeline about itself, what is sent in each
 * attempt, and what is freed and restored when it has settled. The config that axios handed over is
 * used as it is, for all attempts, so that what interceptors keep about it stays true; only an attempt
 * that is sent beside another one has a copy.
 */
import {
  type Call,
  type CallAttributes,
  type CallOptions,
  contextHeaders,
  isResilienceError,
} from '@resil/core';
import type { AxiosAdapter, AxiosResponse, InternalAxiosRequestConfig } from 'axios';
import { attempt, type Sending } from './attempt.js';
import { release } from './body.js';
import { type HttpAttributes, hasIdempotencyKey, isIdempotent, isReplayable } from './classify.js';
import type { AxiosHost } from './host.js';
import { describeRefusal } from './refusal.js';
import { signalOf } from './signals.js';

/** What is the same for all requests of an instance. */
export interface ExchangeSettings {
  readonly host: AxiosHost;
  readonly deadlineHeader: string | undefined;
  readonly sendContext: boolean;
}

/** One request, as options of its call and, under `http`, as its attributes. Not shared between requests. */
export class Exchange implements CallOptions, CallAttributes, HttpAttributes, Sending {
  readonly config: InternalAxiosRequestConfig;
  readonly adapter: AxiosAdapter;
  readonly users: InternalAxiosRequestConfig['cancelToken'];
  readonly resendable: boolean;
  readonly name: string;
  readonly key: string;
  readonly idempotent: boolean;
  readonly signal: AbortSignal | undefined;
  readonly deadline: number | undefined;
  readonly priority: number | undefined;
  readonly replayable: boolean;
  readonly #settings: ExchangeSettings;
  readonly #unlink: (() => void) | undefined;
  /** The answer of the newest attempt, while it may hold a socket that nobody will read from. */
  #answer: AxiosResponse | undefined;
  /** The body that a factory made for the newest attempt. */
  #made: unknown;
  /** The caller's own base URL. */
  readonly #ownBase: string | undefined;
  /** Whether an attempt was sent. */
  #begun = false;
  /** Whether the length in the headers is the caller's. */
  #ownLength = false;
  /** Attempts that are on their way. */
  #running = 0;
  /** Whether there were two at a time: which answer is wanted is then up to the layer that wanted both. */
  #raced = false;

  constructor(
    config: InternalAxiosRequestConfig,
    key: string,
    adapter: AxiosAdapter,
    settings: ExchangeSettings,
  ) {
    const { resilience } = config;
    this.config = config;
    this.#ownBase = config.baseURL;
    this.adapter = adapter;
    this.users = config.cancelToken;
    this.key = key;
    this.name = resilience?.name ?? nameOf(config.method);
    this.deadline = resilience?.deadline;
    this.priority = resilience?.priority;
    this.replayable = isReplayable(config);
    this.idempotent = this.replayable && isIdempotent(config);
    this.resendable = this.idempotent && resilience?.body === undefined;
    this.#settings = settings;
    if (config.signal || config.cancelToken || resilience?.signal) {
      const { signal, unlink } = signalOf(config);
      this.signal = signal;
      this.#unlink = unlink;
    }
  }

  get attributes(): CallAttributes {
    return this;
  }
  get http(): HttpAttributes {
    return this;
  }

  /** Sends one attempt. */
  send(call: Call): Promise<AxiosResponse> {
    if (this.#running > 0) this.#raced = true;
    else if (this.#answer !== undefined && !this.#raced) this.#discard();
    // The http adapter sends although its signal is aborted already.
    if (call.aborted) return Promise.reject(call.reason);
    const sending = this.#raced ? this.#beside() : this;
    const { config } = sending;
    const { resilience } = this.config;
    if (resilience?.body !== undefined && !this.#raced) this.#makeBody(resilience.body);
    this.#begun = true;
    const base: unknown = call.endpoint?.target;
    if (typeof base === 'string') config.baseURL = base;
    const { deadlineHeader, sendContext } = this.#settings;
    if (sendContext) tellContext(config, call);
    if (deadlineHeader !== undefined && call.deadline !== Infinity) {
      config.headers.set(deadlineHeader, String(Math.floor(call.remaining())));
    }
    this.#running++;
    return attempt(sending, call);
  }

  over(): void {
    this.#running--;
  }

  received(response: AxiosResponse | undefined): void {
    this.#answer = response;
  }

  /**
   * The request once more, for an attempt beside another one: the transport adapter keeps its cancel
   * token in the config and changes the headers, and a body is read by one attempt alone.
   */
  #beside(): Sending {
    const { config, adapter, users } = this;
    const { headers } = config;
    const own: InternalAxiosRequestConfig = {
      ...config,
      headers: Object.assign(Object.create(Object.getPrototypeOf(headers)), headers),
    };
    const factory = config.resilience?.body;
    if (factory !== undefined) {
      if (!this.#ownLength) own.headers.delete('content-length');
      own.data = factory();
    }
    return {
      config: own,
      adapter,
      users,
      resendable: this.resendable,
      canceled: (reason) => this.canceled(reason),
      received: (response) => {
        if (response !== undefined) {
          if (own.baseURL !== undefined) config.baseURL = own.baseURL;
          response.config = config;
        }
        this.received(response);
      },
      over: () => {
        this.over();
        if (factory !== undefined) release(own.data);
      },
    };
  }

  /** The call has settled with `value`, which is an answer, or what a fallback gave instead of one. */
  succeeded(value: unknown): AxiosResponse {
    const answer = this.#answer;
    if (value !== answer) this.#discard();
    this.#close();
    // The attempt that it was made for may have lost.
    if (this.#raced && this.config.resilience?.body !== undefined) release(this.config.data);
    return value === answer || isResponse(value)
      ? (value as AxiosResponse)
      : { data: value, status: 200, statusText: 'OK', headers: {}, config: this.config };
  }

  /** The call has settled with `error`; gives what the caller gets to see of it. */
  failed(error: unknown): unknown {
    if ((error as { response?: unknown } | null)?.response !== this.#answer) this.#discard();
    this.#close();
    if (this.#made !== undefined) release(this.#made);
    if (this.#raced) restoreConfig(error, this.config);
    // Sent again by an interceptor, the request may go to any endpoint once more.
    this.#restoreBase();
    if (this.#isCancellation(error)) return this.canceled(this.signal?.reason, error);
    if (isResilienceError(error)) return describeRefusal(error, this.config);
    return error;
  }

  /** The cancellation that axios users know, with the caller's reason as its `cause`. */
  canceled(reason: unknown, error?: unknown): Error {
    // The caller's own CancelToken brings the error that it made.
    if (isCancel(reason)) return reason;
    const { CanceledError } = this.#settings.host;
    const canceled = isCancel(error) ? error : new CanceledError(undefined, this.config);
    if (canceled.cause === undefined) {
      Object.defineProperty(canceled, 'cause', {
        value: reason,
        writable: true,
        configurable: true,
      });
    }
    return canceled;
  }

  /** Makes the body of an attempt; the first sends the request's own `data` if there is any. */
  #makeBody(factory: () => unknown): void {
    const { config } = this;
    if (!this.#begun) {
      this.#ownLength = config.headers.hasContentLength() === true;
      if (config.data !== undefined && config.data !== null) return;
    }
    release(config.data);
    // What axios worked out for the body before does not fit this one.
    if (!this.#ownLength) config.headers.delete('content-length');
    this.#made = factory();
    config.data = this.#made;
  }

  #restoreBase(): void {
    if (this.config.baseURL === this.#ownBase) return;
    if (this.#ownBase === undefined) delete this.config.baseURL;
    else this.config.baseURL = this.#ownBase;
  }

  /** Frees the answer of an attempt that was not the last. */
  #discard(): void {
    const answer = this.#answer;
    this.#answer = undefined;
    if (answer !== undefined) release(answer.data);
  }

  #close(): void {
    this.#answer = undefined;
    this.#unlink?.();
    // Ours has no business in the config that the caller gets to see.
    this.config.cancelToken = this.users as never;
  }

  #isCancellation(error: unknown): boolean {
    if (this.signal?.aborted !== true) return false;
    // axios itself makes a cancellation of whatever comes out of an adapter once its signal is aborted.
    return error === this.signal.reason || isCancel(error) || this.config.signal?.aborted === true;
  }
}

/**
 * Tells the server what it works for, where there is an ambient context. That a request is idempotent
 * by its key is its server's business alone: what it calls in turn has no such key.
 */
function tellContext(config: InternalAxiosRequestConfig, call: Call): void {
  const { headers } = config;
  const told = contextHeaders(call, hasIdempotencyKey(headers) ? { idempotent: undefined } : {});
  if (told === undefined) return;
  for (const [name, value] of Object.entries(told)) headers.set(name, value);
}

/** An error of an attempt that had a copy shows the request's own config. */
function restoreConfig(error: unknown, config: InternalAxiosRequestConfig): void {
  const shown = error as { config?: unknown } | null | undefined;
  if (typeof shown === 'object' && shown?.config !== undefined) shown.config = config;
}

const names = new Map<string | undefined, string>();

/** The method in upper case; the handful of methods is spelled once. */
function nameOf(method: string | undefined): string {
  let name = names.get(method);
  if (name === undefined) {
    name = (method ?? 'get').toUpperCase();
    if (names.size < 50) names.set(method, name);
  }
  return name;
}

function isResponse(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    'data' in value &&
    'status' in value &&
    'headers' in value
  );
}

function isCancel(value: unknown): value is Error {
  return (value as { __CANCEL__?: unknown } | null | undefined)?.__CANCEL__ === true;
}
