/**
 * What the adapter knows of one physical connection, for as long as the connection lives: whether it
 * may be used again, what runs on it, and who holds it.
 */
import type { Socket } from 'node:net';
import type { PoolClient } from 'pg';
import type { ResolvedPgOptions } from './options.js';
import { type RawClient, trackStatus } from './raw-client.js';
import type { PgServer } from './server.js';
import type { ServerRole } from './target-session.js';

/** What a transaction gives to the queries that run in it. */
export interface SessionScope {
  readonly signal: AbortSignal | undefined;
  readonly deadline: number;
}

/** The time that somebody holds a client: from `pool.connect()` to `release()`. */
export interface Checkout {
  /** Gives the client back, as pg's own `release`. */
  readonly release: (destroy?: unknown) => void;
  /** Set once `release` was called; the client may still have to end a cancelled query. */
  released: boolean;
  /** Limits that the holder gave for all that runs meanwhile. */
  scope: SessionScope | undefined;
  /** The last error of a statement, for telling why a transaction was rolled back. */
  lastError: unknown;
}

/** What a server tells its sessions of when its part changes. */
const ROLE_PARAMETERS = new Set(['in_hot_standby', 'default_transaction_read_only']);

/** One physical connection. */
export class Session {
  readonly client: RawClient;
  readonly options: ResolvedPgOptions;
  readonly server: PgServer;
  /** The part that its server said to play; `undefined` if it was not asked, or has told of a change since. */
  role: ServerRole | undefined;
  /** The connection must not go back to the pool. */
  evict = false;
  /** Statements submitted and not answered. */
  running = 0;
  /** Whether nobody had it yet. */
  fresh = true;
  /** What was last sent as `statement_timeout`, in ms; 0 for the session's own. */
  statementTimeout = 0;
  /** Who holds it; `undefined` while it is idle, or runs a query of the pool. */
  checkout: Checkout | undefined;
  /** The client as users see it. */
  wrapped: PoolClient | undefined;
  #drains = 0;
  #waiting: (() => void)[] = [];

  constructor(client: RawClient, options: ResolvedPgOptions, server: PgServer) {
    this.client = client;
    this.options = options;
    this.server = server;
    client.connection.on('parameterStatus', ({ parameterName }) => {
      if (!ROLE_PARAMETERS.has(parameterName)) return;
      this.role = undefined;
      server.forget();
    });
    // A connection that dies in nobody's hands must not end the process; whoever listens is told too.
    client.on('error', ignore);
    trackStatus(client);
  }

  /** Whether a cancelled statement has not ended yet: what is sent now could be hit by its cancel. */
  get draining(): boolean {
    return this.#drains > 0;
  }

  /** A cancel is on its way. */
  drain(): void {
    this.#drains += 1;
  }

  /** It has arrived, and what it was for has ended. */
  drained(): void {
    this.#drains -= 1;
    if (this.#drains > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const next of waiting) next();
  }

  /** Calls `next` when no cancel is on its way any more; at most `cancelGraceDuration` from now. */
  whenDrained(next: () => void): void {
    if (this.draining) this.#waiting.push(next);
    else next();
  }

  /** Closes the connection at once; what runs on it fails. */
  destroy(): void {
    this.evict = true;
    this.client.end(ignore);
    // `end` says goodbye first where nothing runs; a peer that is silent would never answer.
    (this.client.connection.stream as Partial<Socket>).destroy?.();
  }
}

function ignore(): void {}
