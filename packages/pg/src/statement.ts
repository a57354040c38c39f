/**
 * One run of a statement on one connection: submits it, and stops it on the server when its call is
 * aborted.
 *
 * ```
 *   submitted ──answer──────────────────────────────▶ ended
 *       └─abort─▶ cancelling ──answer AND cancel socket closed──▶ ended
 *                     └──grace over──▶ connection destroyed ──▶ ended
 * ```
 * The caller gets the abort at once; the connection is nobody else's before the end.
 */
import { type Call, OutcomeUnknownError } from '@resil/core';
import { sendCancel } from './cancel.js';
import { meaningOf } from './classify.js';
import type { PgCallState } from './options.js';
import { queueOf, whenReady } from './raw-client.js';
import { attemptConfig, type QueryRequest } from './request.js';
import type { Session } from './session.js';

/** What a statement tells those who run it: its answer, and its end, each once. */
export interface StatementEnd {
  /** The connection is free again, or beyond use. Comes before the answer, except after an abort. */
  ended(): void;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** Sets `statement_timeout` to $1 ms unless the session's own is shorter; 0 gives the session's own back. */
const SET_TIMEOUT = `select set_config('statement_timeout',
  (case when $1::int = 0 or (reset_val::int > 0 and reset_val::int < $1::int) then reset_val else $1::text end), false)
  from pg_catalog.pg_settings where name = 'statement_timeout'`;

/** Longest `statement_timeout` that the server takes, as a power of two. */
const MAX_TIMEOUT = 2 ** 30;

/** The error for a COMMIT that was sent and not answered. */
export function outcomeUnknown(name: string, cause: unknown): OutcomeUnknownError {
  return new OutcomeUnknownError(
    name,
    'COMMIT was sent and its answer did not come; the transaction may or may not be committed',
    cause,
  );
}

/** A statement on its way. Made for one run; not shared. */
export class Statement {
  readonly #session: Session;
  readonly #request: QueryRequest;
  readonly #call: Call;
  readonly #state: PgCallState;
  readonly #commit: boolean;
  readonly #end: StatementEnd;
  #submitted = false;
  #settled = false;
  #ended = false;
  /** Whether it failed and only waits for the server to be ready again. */
  #failing = false;
  /** pg's own record of the statement, while it waits on the client behind something else. */
  #queued: unknown;
  #onAnswer: (() => void) | undefined;

  constructor(
    session: Session,
    request: QueryRequest,
    call: Call,
    state: PgCallState,
    commit: boolean,
    end: StatementEnd,
  ) {
    this.#session = session;
    this.#request = request;
    this.#call = call;
    this.#state = state;
    this.#commit = commit;
    this.#end = end;
  }

  /** Runs it, once no cancel of an earlier statement can hit it any more. */
  start(): void {
    this.#state.phase = 'ready';
    if (this.#session.draining) this.#session.whenDrained(() => this.#limit());
    else this.#limit();
  }

  /** Ends it early: the caller gets `error`, the server is told. */
  abort(error: unknown): void {
    if (this.#settled) return;
    const unknown = this.#commit && this.#state.phase === 'sent' && !this.#failing;
    this.#reject(unknown ? outcomeUnknown(this.#session.options.name, error) : error);
    if (this.#ended || this.#failing) return;
    if (!this.#submitted || this.#withdraw()) this.#finish();
    // A COMMIT can't be called back; what it did can't be known any more either.
    else if (unknown) this.#session.destroy();
    else this.#cancel();
  }

  /** Sends the time left to the server first, where that is asked for and not what the session has. */
  #limit(): void {
    if (this.#settled) return;
    const { options, client } = this.#session;
    if (!options.sendDeadline || this.#state.transaction) {
      this.#submit();
      return;
    }
    const remaining = this.#call.remaining();
    const limit = remaining < MAX_TIMEOUT ? 2 ** Math.ceil(Math.log2(Math.max(1, remaining))) : 0;
    if (limit === this.#session.statementTimeout) {
      this.#submit();
      return;
    }
    this.#track();
    client.query(SET_TIMEOUT, [limit], (error: unknown) => {
      if (!error) this.#session.statementTimeout = limit;
      if (this.#settled || error) this.#answered(error, undefined);
      else this.#submit();
    });
  }

  #submit(): void {
    const { client } = this.#session;
    const { values } = this.#request;
    const callback = (error: unknown, result: unknown): void => this.#answered(error, result);
    this.#state.phase = 'sent';
    this.#track();
    const ready = client.readyForQuery !== false;
    try {
      client.query(attemptConfig(this.#request) as string, values as unknown[], callback as never);
    } catch (error) {
      this.#state.phase = 'ready';
      this.#answered(error, undefined);
      return;
    }
    if (!ready) this.#queued = queueOf(client)?.at(-1);
  }

  #track(): void {
    if (!this.#submitted) this.#session.running += 1;
    this.#submitted = true;
  }

  #answered(error: unknown, result: unknown): void {
    if (this.#onAnswer !== undefined) {
      this.#onAnswer();
      return;
    }
    if (this.#ended) return;
    if (!error) {
      this.#finish();
      this.#settled = true;
      this.#end.resolve(result);
      return;
    }
    const { fatal, effect } = meaningOf(error);
    if (fatal) this.#session.evict = true;
    const unknown = this.#commit && this.#state.phase === 'sent' && effect === 'maybe';
    const outcome = unknown ? outcomeUnknown(this.#session.options.name, error) : error;
    if (fatal || this.#session.client.readyForQuery !== false) this.#failed(outcome);
    else this.#failWhenReady(outcome);
  }

  #failed(error: unknown): void {
    this.#finish();
    if (!this.#settled) this.#reject(error);
  }

  /** pg tells of an error before the server is ready again, and before it tells what became of the transaction. */
  #failWhenReady(error: unknown): void {
    const { client, options } = this.#session;
    this.#failing = true;
    const forgetReady = whenReady(client, () => {
      forgetGrace();
      this.#failed(error);
    });
    const forgetGrace = this.#call.clock.schedule(() => {
      forgetReady();
      this.#session.destroy();
      this.#failed(error);
    }, options.cancelGraceDuration);
  }

  /** Takes it back from pg's own queue if it was not sent yet; as `Client#cancel` in pg's lib/client.js does. */
  #withdraw(): boolean {
    const queue = queueOf(this.#session.client);
    const index = this.#queued === undefined ? -1 : (queue?.indexOf(this.#queued) ?? -1);
    if (index === -1) return false;
    queue?.splice(index, 1);
    return true;
  }

  #cancel(): void {
    const session = this.#session;
    const { client, options } = session;
    let answered = false;
    let closed = false;
    const end = (): void => {
      if (!answered || !closed || this.#ended) return;
      forgetGrace();
      session.drained();
      this.#finish();
    };
    this.#onAnswer = () => {
      answered = true;
      end();
    };
    session.drain();
    const giveUp = sendCancel(client, (delivered) => {
      if (!delivered) session.evict = true;
      closed = true;
      end();
    });
    const forgetGrace = this.#call.clock.schedule(() => {
      session.destroy();
      answered = true;
      giveUp();
      end();
    }, options.cancelGraceDuration);
  }

  #reject(error: unknown): void {
    this.#settled = true;
    this.#end.reject(error);
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#submitted) this.#session.running -= 1;
    this.#end.ended();
  }
}
