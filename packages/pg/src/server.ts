/**
 * One of the servers behind a wrapped pool: its pool, and what is known of the part it plays.
 *
 * A session that is what a call looks for is taken at its word: a primary that becomes a standby has
 * to restart, which ends its sessions. One that isn't is asked again, because a standby that is
 * promoted keeps its sessions; but not more than once in `ROLE_INTERVAL`, however many calls wait for
 * the promotion. PostgreSQL 14 and newer also tell a session of the change with their next answer.
 */
import { isResilienceError, systemClock } from '@resil/core';
import type { Pool } from 'pg';
import { ClientSource, type RawPool } from './acquire.js';
import { meaningOf, sqlStateOf } from './classify.js';
import type { QueryPhase, ResolvedPgOptions } from './options.js';
import type { RawClient } from './raw-client.js';
import { Session } from './session.js';
import {
  admits,
  NoServerError,
  type ServerRole,
  type TargetSessionAttrs,
} from './target-session.js';

/** Milliseconds for which the answer that a server is not what is looked for holds. */
const ROLE_INTERVAL = 100;
/** Milliseconds for which a server that could not be reached is tried after all others. */
const FAULT_DURATION = 5_000;

/** As text, whatever the pool's type parsers make of a boolean. */
const ASK_ROLE =
  "select pg_is_in_recovery()::text || ' ' || current_setting('transaction_read_only') as role";

/** A server, as a pool leads to it. */
export class PgServer {
  readonly name: string;
  readonly pool: Pool;
  readonly source: ClientSource;
  readonly #options: ResolvedPgOptions;
  readonly #siblings: readonly PgServer[];
  readonly #sessions = new WeakMap<object, Session>();
  #role: ServerRole | undefined;
  #fault: { readonly error: unknown; readonly at: number } | undefined;

  /** `siblings` are all the servers, this one among them once it is made. */
  constructor(name: string, pool: Pool, options: ResolvedPgOptions, siblings: readonly PgServer[]) {
    this.name = name;
    this.pool = pool;
    this.#options = options;
    this.#siblings = siblings;
    this.source = new ClientSource(pool as unknown as RawPool, options, this);
  }

  /** What was last heard of its part; `undefined` if nothing, or if that may have changed. */
  get role(): ServerRole | undefined {
    return this.#role;
  }

  /** Whether it could not be reached of late. */
  get unreachable(): boolean {
    return this.#fault !== undefined && this.#now() - this.#fault.at < FAULT_DURATION;
  }

  /** Whether a physical connection is one of its own. */
  knows(client: RawClient): boolean {
    return this.#sessions.has(client);
  }

  /** The session of a physical connection. */
  sessionOf(client: RawClient): Session {
    let session = this.#sessions.get(client);
    if (session === undefined) {
      session = new Session(client, this.#options, this);
      this.#sessions.set(client, session);
    }
    return session;
  }

  /**
   * Whether a call may use a session: `undefined` if so, else why not; a promise of that where the
   * server has to be asked.
   */
  admit(
    session: Session,
    target: TargetSessionAttrs,
  ): Promise<unknown> | NoServerError | undefined {
    this.#fault = undefined;
    if (target === 'any') return undefined;
    const { role } = session;
    if (role !== undefined && admits(role, target)) return undefined;
    const latest = latestOf(role, this.#role);
    if (latest !== undefined && !admits(latest, target) && this.#now() - latest.at < ROLE_INTERVAL)
      return this.#mismatch(target);
    return this.#ask(session).then(
      (answer) => (admits(answer, target) ? undefined : this.#mismatch(target)),
      (error) => error ?? new Error('the server did not say which part it plays'),
    );
  }

  /** Its part may have changed. */
  forget(): void {
    this.#role = undefined;
  }

  /** A call failed here. */
  learn(error: unknown, phase: QueryPhase): void {
    const state = sqlStateOf(error);
    if (state === '25006') this.forget();
    const late = isResilienceError(error) && error.code === 'RESIL_TIMEOUT';
    if (late ? phase === 'connecting' : isLoss(error, state)) this.lost(error);
  }

  /** It can't be reached: its part is open until it is. */
  lost(error: unknown): void {
    this.forget();
    this.#fault = { error, at: this.#now() };
  }

  /** What is known of it, for people. */
  describe(): string {
    if (this.#fault !== undefined) return `can't be reached (${textOf(this.#fault.error)})`;
    if (this.#role === undefined) return 'has not been asked';
    if (this.#role.standby) return 'is a standby';
    return this.#role.readOnly ? 'is read-only' : 'is read-write';
  }

  /** Asks a server over an idle session. A session that does not answer is closed. */
  #ask(session: Session): Promise<ServerRole> {
    const { client } = session;
    return new Promise((resolve, reject) => {
      const forgetLimit = this.source.clock.schedule(
        () => session.destroy(),
        this.#options.acquireTimeout,
      );
      client.query(ASK_ROLE, [], (error: unknown, result: unknown) => {
        forgetLimit();
        const text = (result as { rows?: { role?: string }[] } | undefined)?.rows?.[0]?.role;
        if (error || text === undefined) {
          session.evict = true;
          this.learn(error, 'ready');
          reject(error);
          return;
        }
        const [standby, readOnly] = text.split(' ');
        this.#role = { standby: standby === 'true', readOnly: readOnly === 'on', at: this.#now() };
        session.role = this.#role;
        resolve(this.#role);
      });
    });
  }

  #mismatch(target: TargetSessionAttrs): NoServerError {
    const known = this.#siblings.map((server) => `${server.name} ${server.describe()}`);
    return new NoServerError(this.#options.name, target, known);
  }

  #now(): number {
    return (this.#options.clock ?? systemClock).now();
  }
}

/** Whether an error says that the server is not there; one that has too many clients is. */
export function isLoss(error: unknown, state: string | undefined = sqlStateOf(error)): boolean {
  const { kind, fatal } = meaningOf(error);
  return kind === 'failure' && fatal && state !== '53300' && state !== '25006';
}

function latestOf(
  one: ServerRole | undefined,
  other: ServerRole | undefined,
): ServerRole | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.at >= other.at ? one : other;
}

function textOf(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  return String(code ?? message);
}
