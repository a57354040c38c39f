/**
 * One sending of a request. Settles at once when its call is aborted, whatever the adapter makes of
 * that, and frees an answer that comes too late.
 */
import type { Call } from '@resil/core';
import type { AxiosAdapter, AxiosResponse, InternalAxiosRequestConfig } from 'axios';
import { freedBy, release } from './body.js';
import { isStaleConnection } from './classify.js';
import { StopToken } from './stop-token.js';

/** What an attempt has to know about the request that it is one of. */
export interface Sending {
  readonly config: InternalAxiosRequestConfig;
  readonly adapter: AxiosAdapter;
  /** The caller's own token. */
  readonly users: InternalAxiosRequestConfig['cancelToken'];
  /** Whether it may be sent a second time over another connection if an idle one turns out to be dead. */
  readonly resendable: boolean;
  /** The error of a call that its caller aborted. */
  canceled(reason: unknown): Error;
  /** Takes the answer, which may hold a socket until somebody reads it. */
  received(response: AxiosResponse | undefined): void;
  /** An attempt has ended, or nobody waits for it any more. Called once for each. */
  over(): void;
}

/** Why an answer is cut off whose body nobody will read. */
const NOBODY_READS = new Error('nobody reads this answer');

/** Sends `sending` once for `call`. */
export function attempt(sending: Sending, call: Call): Promise<AxiosResponse> {
  return new Promise((resolve, reject) => new Attempt(sending, call, resolve, reject).start());
}

class Attempt extends StopToken {
  readonly #sending: Sending;
  readonly #call: Call;
  readonly #resolve: (response: AxiosResponse) => void;
  readonly #reject: (error: unknown) => void;
  #unlink: (() => void) | undefined;
  #ended = false;
  #mayResend: boolean;

  constructor(
    sending: Sending,
    call: Call,
    resolve: (response: AxiosResponse) => void,
    reject: (error: unknown) => void,
  ) {
    super(sending.users);
    this.#sending = sending;
    this.#call = call;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#mayResend = sending.resendable;
  }

  start(): void {
    this.#unlink = this.#call.onAbort((reason) => this.#abort(reason));
    this.#send();
  }

  #send(): void {
    const { config, adapter } = this.#sending;
    config.cancelToken = this.asCancelToken();
    adapter(config).then(
      (response) => this.#answered(response),
      (error) => this.#failed(error),
    );
  }

  #abort(reason: unknown): void {
    this.#ended = true;
    this.#sending.over();
    const error = this.#call.cancelled ? this.#sending.canceled(reason) : reason;
    this.stop(error instanceof Error ? error : new Error(String(error)));
    this.#reject(error);
  }

  #answered(response: AxiosResponse): void {
    if (this.#end(response)) this.#resolve(response);
  }

  #failed(error: unknown): void {
    // A connection that died while it stood idle costs one more sending and nothing else: it says
    // nothing about the server, and every second request may meet one (RFC 9112 section 9.3.1).
    if (this.#mayResend && !this.#ended && isStaleConnection(error)) {
      this.#mayResend = false;
      this.#send();
    } else if (this.#end((error as { response?: AxiosResponse } | null)?.response)) {
      this.#reject(error);
    }
  }

  /** Whether this is the first end. */
  #end(response: AxiosResponse | undefined): boolean {
    if (this.#ended) {
      release(response?.data);
      return false;
    }
    this.#ended = true;
    this.#unlink?.();
    this.#sending.over();
    this.#sending.received(response);
    if (response !== undefined) freedBy(response.data, () => this.stop(NOBODY_READS));
    return true;
  }
}
