/**
 * Getting a client: at most so many wait, for so long, and a wait can be ended at any moment.
 *
 * pg-pool's own waiting line has no limit and nobody can leave it, so nobody is let into it: a
 * bulkhead with as many permits as the pool has slots stands before it. Whoever leaves while a client
 * is already being connected leaves the client behind: it goes to the pool when it comes.
 */
import {
  type Bulkhead,
  bulkhead,
  type Call,
  type Clock,
  isResilienceError,
  QueueTimeoutError,
  systemClock,
  TimeoutError,
} from '@resil/core';
import type { PgCallState, ResolvedPgOptions } from './options.js';
import type { ConnectCallback } from './raw-client.js';
import { inTransaction } from './raw-client.js';
import type { PgServer } from './server.js';
import type { Session } from './session.js';

/** The members of pg-pool's pool that the adapter touches. */
export interface RawPool {
  readonly idleCount: number;
  readonly options: { readonly max: number; connectionTimeoutMillis?: number | undefined };
  connect(callback: ConnectCallback): void;
}

/** Told, one or the other and once, how an acquisition ended. */
export interface AcquireEnd {
  /** There is a client, to be given back by {@link Acquisition.giveBack}. */
  acquired(session: Session): void;
  refused(error: unknown): void;
}

/** Hands out the clients of one pool. */
export class ClientSource {
  readonly pool: RawPool;
  readonly options: ResolvedPgOptions;
  readonly server: PgServer;
  readonly #line: Bulkhead;
  readonly #ownTimeout: number | undefined;
  /** Clients asked of the pool and not given yet; and those among them that have to be connected first. */
  #asked = 0;
  #connecting = 0;

  constructor(pool: RawPool, options: ResolvedPgOptions, server: PgServer) {
    this.pool = pool;
    this.options = options;
    this.server = server;
    this.#ownTimeout = pool.options.connectionTimeoutMillis;
    this.#line = bulkhead({
      name: `${options.name} pool`,
      maxConcurrentCalls: pool.options.max,
      maxQueueSize: options.maxWaiting,
      queueTimeout: options.acquireTimeout,
    });
  }

  /** Source of time. */
  get clock(): Clock {
    return this.options.clock ?? systemClock;
  }

  /** Name of the waiting line in errors and events. */
  get name(): string {
    return this.#line.name;
  }

  /** Calls that wait for a client. */
  get waiting(): number {
    return this.#line.waiting;
  }

  /** The waiting line. */
  get line(): Bulkhead {
    return this.#line;
  }

  /** Whether the next client that is asked for has to be connected first, which takes time. */
  get mustConnect(): boolean {
    return this.#asked >= this.pool.idleCount;
  }

  /** Whether the pool had a `connectionTimeoutMillis` before it was wrapped. */
  get ownTimeout(): number | undefined {
    return this.#ownTimeout || undefined;
  }

  /**
   * A client is asked of the pool, `connecting` if it has to be connected first.
   *
   * While one is being connected, a pool that has no `connectionTimeoutMillis` gets one: nothing else
   * ends a connect that nobody answers, and it would hold its slot for ever. Only meanwhile, because
   * pg-pool starts a timer of its own for each client that it hands out under one.
   */
  asked(connecting: boolean): void {
    this.#asked += 1;
    if (!connecting) return;
    this.#connecting += 1;
    this.pool.options.connectionTimeoutMillis ||= this.options.acquireTimeout;
  }

  /** The pool has answered. */
  answered(connecting: boolean): void {
    this.#asked -= 1;
    if (!connecting) return;
    this.#connecting -= 1;
    if (this.#connecting === 0) this.pool.options.connectionTimeoutMillis = this.#ownTimeout;
  }
}

/** One try to get a client; then the holder of the client, until it is given back. */
export class Acquisition {
  readonly #source: ClientSource;
  readonly #call: Call;
  readonly #state: PgCallState;
  readonly #end: AcquireEnd;
  #done = false;
  #forgetTimeout: (() => void) | undefined;
  #session: Session | undefined;
  #release: ((destroy?: unknown) => void) | undefined;

  constructor(source: ClientSource, call: Call, state: PgCallState, end: AcquireEnd) {
    this.#source = source;
    this.#call = call;
    this.#state = state;
    this.#end = end;
  }

  /** Whether it has ended: there is a client, or there won't be one. */
  get done(): boolean {
    return this.#done;
  }

  start(): void {
    this.#state.phase = 'waiting';
    const { acquireTimeout } = this.#source.options;
    let wait: void | Promise<void>;
    try {
      wait = this.#source.line.enter(this.#call);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (wait === undefined) {
      this.#connect(acquireTimeout);
      return;
    }
    const since = this.#call.now();
    wait.then(
      () => {
        if (this.#done) this.#source.line.leave();
        else this.#connect(acquireTimeout - (this.#call.now() - since));
      },
      (error) => this.abort(error),
    );
  }

  /** Ends it; a client that still comes goes to the pool. */
  abort(error: unknown): void {
    // Being cut short while waiting for our own pool is a refusal, which says nothing about the server.
    const { options } = this.#source;
    const local = this.#state.phase === 'waiting' && !this.#call.cancelled;
    const refused = local && isResilienceError(error) && !error.refusal;
    this.#fail(refused ? new QueueTimeoutError(this.#source.name, options.acquireTimeout) : error);
  }

  #connect(timeLeft: number): void {
    const source = this.#source;
    const connecting = source.mustConnect;
    this.#state.phase = 'connecting';
    // Before pg starts its own timer for the same time: so that this one is first.
    if (connecting) {
      this.#forgetTimeout = this.#call.clock.schedule(
        () => this.#fail(this.#late()),
        Math.max(0, timeLeft),
      );
    }
    source.asked(connecting);
    source.pool.connect((error, client, release) => {
      source.answered(connecting);
      if (this.#done || error || client === undefined) {
        if (client !== undefined) release();
        source.line.leave();
        this.#fail(error && isPoolFull(error) ? this.#full() : error);
        return;
      }
      const session = source.server.sessionOf(client);
      this.#session = session;
      this.#release = release;
      const fault = source.server.admit(session, this.#state.target);
      if (fault instanceof Promise) void fault.then((answer) => this.#admitted(session, answer));
      else this.#admitted(session, fault);
    });
  }

  /** The session is what the call looks for; or it is not, or the call has left, and the client goes back. */
  #admitted(session: Session, fault: unknown): void {
    if (this.#done || fault !== undefined) {
      this.giveBack();
      this.#fail(fault);
      return;
    }
    this.#done = true;
    this.#forgetTimeout?.();
    this.#state.untouched = !session.fresh;
    this.#state.phase = 'ready';
    session.fresh = false;
    this.#end.acquired(session);
  }

  /** Gives the client back; `destroy` closes it. To be called exactly once. */
  giveBack(destroy?: unknown): void {
    const session = this.#session as Session;
    const { line, pool } = this.#source;
    const over = session.evict || (inTransaction(session.client) && pool.options.max > 1);
    this.#release?.(destroy || over);
    line.leave();
  }

  #late(): TimeoutError {
    const { name, acquireTimeout } = this.#source.options;
    return new TimeoutError(`${name} connect`, acquireTimeout);
  }

  /** pg-pool gave up: its own limit was for a free slot, ours is for a connect. */
  #full(): QueueTimeoutError | TimeoutError {
    const { name, ownTimeout } = this.#source;
    if (ownTimeout === undefined) return this.#late();
    this.#state.phase = 'waiting';
    return new QueueTimeoutError(name, ownTimeout);
  }

  #fail(error: unknown): void {
    if (this.#done) return;
    this.#done = true;
    this.#forgetTimeout?.();
    this.#end.refused(error);
  }
}

/** pg-pool's own words for a pool that is full. */
function isPoolFull(error: Error): boolean {
  return error.message === 'timeout exceeded when trying to connect';
}
