/** One attempt of a query of the pool: a client is had, the statement run on it, the client given back. */
import type { Call } from '@resil/core';
import { type AcquireEnd, Acquisition, type ClientSource } from './acquire.js';
import type { PgCallState } from './options.js';
import type { QueryRequest } from './request.js';
import type { Session } from './session.js';
import { Statement, type StatementEnd } from './statement.js';

/** A query on its way. Made for one attempt; not shared. */
export class PooledQuery implements AcquireEnd, StatementEnd {
  readonly #call: Call;
  readonly #request: QueryRequest;
  readonly #state: PgCallState;
  readonly #acquired: () => void;
  readonly #resolve: (result: unknown) => void;
  readonly #reject: (error: unknown) => void;
  readonly #acquisition: Acquisition;
  #statement: Statement | undefined;
  #forgetAbort: (() => void) | undefined;

  constructor(
    source: ClientSource,
    call: Call,
    request: QueryRequest,
    state: PgCallState,
    acquired: () => void,
    resolve: (result: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.#call = call;
    this.#request = request;
    this.#state = state;
    this.#acquired = acquired;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#acquisition = new Acquisition(source, call, state, this);
  }

  start(): void {
    this.#acquisition.start();
    if (this.#acquisition.done) return;
    this.#forgetAbort = this.#call.onAbort((reason) => {
      (this.#statement ?? this.#acquisition).abort(reason);
    });
  }

  acquired(session: Session): void {
    this.#acquired();
    this.#statement = new Statement(session, this.#request, this.#call, this.#state, false, this);
    this.#statement.start();
  }

  refused(error: unknown): void {
    this.reject(error);
  }

  ended(): void {
    this.#acquisition.giveBack();
  }

  resolve(result: unknown): void {
    this.#forgetAbort?.();
    this.#resolve(result);
  }

  reject(error: unknown): void {
    this.#forgetAbort?.();
    this.#reject(error);
  }
}
