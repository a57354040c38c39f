/**
 * One request through a pipeline: what it tells the pipeline about itself, how an attempt is sent and
 * stopped, and what is freed and restored when it has settled. The config that axios handed over is
 * used as it is, for all attempts, so that what interceptors keep about it stays true.
 */
import { type Call, type CallAttributes, type CallOptions, isResilienceError } from '@resil/core';
import type { AxiosAdapter, AxiosResponse, InternalAxiosRequestConfig } from 'axios';
import { release } from './body.js';
import { isIdempotent, isReplayable, isStaleConnection } from './classify.js';
import type { AxiosHost } from './host.js';
import { describeRefusal } from './refusal.js';
import { asCancelToken, StopToken } from './stop-token.js';

/** What is the same for all requests of an instance. */
export interface ExchangeSettings {
  readonly host: AxiosHost;
  readonly deadlineHeader: string | undefined;
}

/** Attributes of a call whose body is consumed by the first attempt. */
const ONE_SHOT: CallAttributes = Object.freeze({ http: Object.freeze({ replayable: false }) });

/** One request, as options of its call. Not shared between requests. */
export class Exchange implements CallOptions {
  readonly config: InternalAxiosRequestConfig;
  readonly name: string;
  readonly key: string;
  readonly idempotent: boolean;
  readonly signal: AbortSignal | undefined;
  readonly deadline: number | undefined;
  readonly priority: number | undefined;
  readonly attributes: CallAttributes | undefined;
  readonly #settings: ExchangeSettings;
  readonly #adapter: AxiosAdapter;
  readonly #users: InternalAxiosRequestConfig['cancelToken'];
  readonly #unlink: (() => void) | undefined;
  /** The answer of the newest attempt, while it may hold a socket that nobody will read from. */
  #answer: AxiosResponse | undefined;
  /** The body that a factory made for the newest attempt. */
  #made: unknown;
  #ownLength = false;

  constructor(
    config: InternalAxiosRequestConfig,
    key: string,
    adapter: AxiosAdapter,
    settings: ExchangeSettings,
  ) {
    const { resilience } = config;
    this.config = config;
    this.key = key;
    this.name = resilience?.name ?? (config.method ?? 'get').toUpperCase();
    this.idempotent = isIdempotent(config);
    this.deadline = resilience?.deadline;
    this.priority = resilience?.priority;
    this.attributes = isReplayable(config) ? undefined : ONE_SHOT;
    this.#settings = settings;
    this.#adapter = adapter;
    this.#users = config.cancelToken;
    const { signal, unlink } = signalOf(config);
    this.signal = signal;
    this.#unlink = unlink;
  }

  /** Sends one attempt. Rejects at once when the call is aborted, whatever the adapter does. */
  readonly send = (call: Call): Promise<AxiosResponse> => {
    this.#discard();
    // The http adapter sends although its signal is aborted already.
    if (call.aborted) return Promise.reject(call.reason);
    this.#prepare(call);
    return new Promise((resolve, reject) => {
      const token = new StopToken(this.#users);
      let ended = false;
      const end = (): boolean => {
        if (ended) return false;
        ended = true;
        off();
        return true;
      };
      const off = call.onAbort((reason) => {
        ended = true;
        const error = call.cancelled ? this.#canceled(reason) : reason;
        token.stop(asError(error));
        reject(error);
      });
      const answered = (response: AxiosResponse): void => {
        if (!end()) {
          release(response.data);
          return;
        }
        this.#answer = response;
        resolve(response);
      };
      const failed = (error: unknown): void => {
        const response = (error as { response?: AxiosResponse } | null)?.response;
        if (!end()) {
          release(response?.data);
          return;
        }
        this.#answer = response;
        reject(error);
      };
      const run = (): Promise<AxiosResponse> => {
        this.config.cancelToken = asCancelToken(token);
        return this.#adapter(this.config);
      };
      // A connection that died while it stood idle costs one more sending, and nothing else: it
      // says nothing about the server, and half of the requests may meet one (RFC 9112 section 9.3.1).
      const again = (error: unknown): unknown =>
        !ended &&
        isStaleConnection(error) &&
        this.idempotent &&
        this.attributes === undefined &&
        this.#made === undefined
          ? run().then(answered, failed)
          : failed(error);
      run().then(answered, again);
    });
  };

  /** The call has settled with `value`, which is an answer, or what a fallback gave instead of one. */
  succeeded(value: unknown): AxiosResponse {
    const answer = this.#answer;
    if (value !== answer) this.#discard();
    this.#close();
    return value === answer || isResponse(value)
      ? (value as AxiosResponse)
      : this.#responseWith(value);
  }

  /** The call has settled with `error`; gives what the caller gets to see of it. */
  failed(error: unknown): unknown {
    if ((error as { response?: unknown } | null)?.response !== this.#answer) this.#discard();
    if (this.#made !== undefined) release(this.#made);
    this.#close();
    if (this.#isCancellation(error)) return this.#canceled(this.signal?.reason, error);
    if (isResilienceError(error)) return describeRefusal(error, this.config);
    return error;
  }

  /** Makes the config ready for another attempt. */
  #prepare(call: Call): void {
    const { config } = this;
    const factory = config.resilience?.body;
    if (factory !== undefined) {
      if (call.attempt === 1) this.#ownLength = config.headers.hasContentLength() === true;
      if (call.attempt > 1 || config.data === undefined || config.data === null) {
        release(call.attempt > 1 ? config.data : undefined);
        // What axios worked out for the body before does not fit this one.
        if (!this.#ownLength) config.headers.delete('content-length');
        this.#made = factory();
        config.data = this.#made;
      }
    }
    const { deadlineHeader } = this.#settings;
    if (deadlineHeader !== undefined && call.deadline !== Infinity) {
      config.headers.set(deadlineHeader, String(Math.floor(call.remaining())));
    }
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
    if (this.#users !== undefined || this.config.cancelToken !== undefined) {
      this.config.cancelToken = this.#users as never;
    }
  }

  #isCancellation(error: unknown): boolean {
    if (this.signal?.aborted !== true) return false;
    // axios itself turns whatever comes out of an adapter into a cancellation once its signal is aborted.
    return error === this.signal.reason || isCancel(error) || this.config.signal?.aborted === true;
  }

  /** The cancellation that axios users know, with the caller's reason as its `cause`. */
  #canceled(reason: unknown, error?: unknown): Error {
    // The caller's own CancelToken brings the error that it made.
    if (isCancel(reason)) return reason as Error;
    const canceled = isCancel(error)
      ? (error as Error)
      : new this.#settings.host.CanceledError(undefined, this.config);
    if (canceled.cause === undefined) {
      Object.defineProperty(canceled, 'cause', {
        value: reason,
        writable: true,
        configurable: true,
      });
    }
    return canceled;
  }

  /** What a fallback gave, as the answer that the caller waits for. */
  #responseWith(data: unknown): AxiosResponse {
    return { data, status: 200, statusText: 'OK', headers: {}, config: this.config };
  }
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

function isCancel(value: unknown): boolean {
  return (value as { __CANCEL__?: unknown } | null | undefined)?.__CANCEL__ === true;
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** The one signal of everything that may abort the request, and how to let go of it. */
function signalOf(config: InternalAxiosRequestConfig): {
  signal?: AbortSignal;
  unlink?: () => void;
} {
  const token = config.cancelToken as
    | { toAbortSignal?: () => AbortSignal & { unsubscribe?: () => void } }
    | undefined;
  const own = config.signal as AbortSignal | undefined;
  const asked = config.resilience?.signal;
  if (token === undefined && (own === undefined || asked === undefined || own === asked)) {
    const signal = own ?? asked;
    return signal === undefined ? NOTHING : { signal };
  }
  const fromToken = token?.toAbortSignal?.();
  const signals = [own, asked, fromToken].filter(
    (signal) => signal !== undefined && signal !== null,
  );
  if (signals.length === 1)
    return { signal: signals[0] as AbortSignal, unlink: () => fromToken?.unsubscribe?.() };
  return follow(signals as AbortSignal[], () => fromToken?.unsubscribe?.());
}

const NOTHING: { signal?: AbortSignal; unlink?: () => void } = Object.freeze({});

/** Follows several signals by one; `AbortSignal.any` would leave something on a signal that lives long. */
function follow(
  signals: readonly AbortSignal[],
  unsubscribe: () => void,
): { signal: AbortSignal; unlink: () => void } {
  const controller = new AbortController();
  const ends: Array<() => void> = [unsubscribe];
  for (const signal of signals) {
    const abort = (): void => controller.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    ends.push(() => signal.removeEventListener('abort', abort));
  }
  return {
    signal: controller.signal,
    unlink: () => {
      for (const end of ends) end();
    },
  };
}
