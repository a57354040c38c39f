/** One wrapped pool, or several that are one to their users, as its parts share it; and the guarded calls that are made on it. */
import { type Call, type CallOptions, isRefusal, isResilienceError } from '@resil/core';
import type { Pool, PoolClient } from 'pg';
import { Acquisition } from './acquire.js';
import type { PgCallState, ResolvedPgOptions } from './options.js';
import { overlay } from './overlay.js';
import { executeAlways, type PipelineSet, Pipelines } from './pipelines.js';
import { PooledQuery } from './pooled-query.js';
import { inTransaction, transactionStatus } from './raw-client.js';
import {
  deliver,
  faultOf,
  NOTHING,
  nameOf,
  type QueryRequest,
  readRequest,
  textOf,
} from './request.js';
import { PgServer } from './server.js';
import { Servers } from './servers.js';
import type { Checkout, Session } from './session.js';
import { outcomeUnknown, Statement } from './statement.js';
import { statementKind } from './statement-kind.js';
import type { TargetSessionAttrs } from './target-session.js';

type RawQuery = (...args: unknown[]) => unknown;

/** What stands behind a wrapped pool. */
export class PoolContext {
  readonly options: ResolvedPgOptions;
  readonly servers: Servers;
  readonly pipelines: Pipelines;

  /** `names` are those of the servers that the pools lead to. */
  constructor(
    pools: readonly Pool[],
    options: ResolvedPgOptions,
    names: readonly string[],
    key: string,
  ) {
    // pg repeats nothing by itself.
    const target = names.join(',');
    const dependency = { client: 'pg', target, innerAttempts: 1, ...options.standard.dependency };
    const own = { ...options, standard: { ...options.standard, dependency } };
    this.options = own;
    const all: PgServer[] = [];
    for (const [index, pool] of pools.entries())
      all.push(new PgServer(names[index] as string, pool, own, all));
    this.servers = new Servers(all, own);
    this.pipelines = new Pipelines(own, key, this.servers);
  }

  /** The client as users see it: always the same one for a connection. */
  wrap(session: Session): PoolClient {
    const { client } = session;
    session.wrapped ??= overlay(client, {
      query: (...args: unknown[]) => this.#clientQuery(session, args),
      get release() {
        return session.checkout?.release ?? client.release;
      },
    }) as unknown as PoolClient;
    return session.wrapped;
  }

  /** `pool.query` as one guarded call: a client is had for it, and given back. */
  query(request: QueryRequest): Promise<unknown> {
    const fault = faultOf(request);
    if (fault !== undefined) return Promise.reject(fault);
    const { resilience } = request;
    const state: PgCallState = {
      operation: 'query',
      phase: 'waiting',
      target: resilience.targetSessionAttrs ?? this.options.targetSessionAttrs,
      transaction: false,
      held: false,
      untouched: false,
    };
    return this.pipelines.of(resilience.key).whole.execute(
      (call) =>
        new Promise((resolve, reject) => {
          const server = this.servers.of(call);
          const failed = (error: unknown): void => {
            server.learn(error, state.phase);
            reject(error);
          };
          const acquired = (): void => this.servers.admitted(server, state.target, call);
          new PooledQuery(server.source, call, request, state, acquired, resolve, failed).start();
        }),
      optionsOf(request, state),
    );
  }

  /** Has a client for somebody who gives it back himself. */
  async checkOut(
    pipeline: (set: PipelineSet) => PipelineSet['whole'],
    options: CallOptions,
    target: TargetSessionAttrs = this.options.targetSessionAttrs,
  ): Promise<Session> {
    const state: PgCallState = {
      operation: 'connect',
      phase: 'waiting',
      target,
      transaction: false,
      held: false,
      untouched: false,
    };
    return pipeline(this.pipelines.of(options.key)).execute(
      (call) => this.#checkOutOnce(call, state),
      {
        name: 'connect',
        ...options,
        attributes: { pg: state },
      },
    );
  }

  #checkOutOnce(call: Call, state: PgCallState): Promise<Session> {
    return new Promise((resolve, reject) => {
      let forget: (() => void) | undefined;
      const server = this.servers.of(call);
      const acquisition = new Acquisition(server.source, call, state, {
        acquired: (session) => {
          forget?.();
          this.servers.admitted(server, state.target, call);
          session.checkout = checkoutOf(session, acquisition);
          resolve(session);
        },
        refused(error) {
          forget?.();
          server.learn(error, state.phase);
          reject(error);
        },
      });
      acquisition.start();
      if (!acquisition.done) forget = call.onAbort((reason) => acquisition.abort(reason));
    });
  }

  /** `client.query` on a client that somebody holds. */
  #clientQuery(session: Session, args: unknown[]): unknown {
    const { client, checkout } = session;
    const request = readRequest(args[0], args[1], args[2]);
    // What pg has to do itself; and what prepares a connection before it is handed out.
    if (request === undefined || checkout === undefined || checkout.released) {
      return (client.query as RawQuery)(...args);
    }
    const promise = this.#heldQuery(session, checkout, request);
    if (request.callback === undefined) return promise;
    deliver(promise, request.callback);
    return undefined;
  }

  #heldQuery(session: Session, checkout: Checkout, request: QueryRequest): Promise<unknown> {
    const fault = faultOf(request);
    if (fault !== undefined) return Promise.reject(fault);
    const { client, server } = session;
    // Behind a statement that has not been answered, the status is not known yet.
    const transaction = session.running > 0 || inTransaction(client);
    const kind = statementKind(textOf(request));
    const state: PgCallState = {
      operation: 'query',
      phase: 'ready',
      target: 'any',
      transaction,
      held: true,
      untouched: false,
    };
    const commit = transaction && kind === 'commit' && transactionStatus(client) !== 'E';
    const operation = (call: Call): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const statement = new Statement(session, request, call, state, commit, {
          ended() {},
          resolve(result) {
            forget();
            resolve(result);
          },
          reject(error) {
            checkout.lastError = error;
            server.learn(error, state.phase);
            forget();
            reject(error);
          },
        });
        const forget = call.onAbort((reason) => statement.abort(reason));
        statement.start();
      });
    const set = this.pipelines.of(request.resilience.key);
    const options = optionsOf(request, state, checkout);
    if (!transaction && kind !== 'begin') return set.alone(server).execute(operation, options);
    if (kind === 'begin' || kind === 'other') return set.held(server).execute(operation, options);
    const promise = executeAlways(set, server, operation, options, isRefusal);
    if (!commit) return promise;
    // A timeout answers in place of the statement.
    return promise.catch((error) => {
      const cut = isResilienceError(error) && error.code === 'RESIL_TIMEOUT';
      throw cut && state.phase === 'sent' ? outcomeUnknown(this.options.name, error) : error;
    });
  }
}

function optionsOf(request: QueryRequest, state: PgCallState, checkout?: Checkout): CallOptions {
  const scope = checkout?.scope;
  const name = nameOf(request) ?? 'query';
  const attributes = { pg: state };
  if (request.resilience === NOTHING && scope === undefined) return { name, attributes };
  const { signal, deadline, key, priority, idempotent } = request.resilience;
  return {
    name,
    key,
    priority,
    idempotent,
    signal: signal ?? scope?.signal,
    deadline:
      scope === undefined
        ? deadline
        : Math.min(deadline ?? Number.POSITIVE_INFINITY, scope.deadline),
    attributes,
  };
}

function checkoutOf(session: Session, acquisition: Acquisition): Checkout {
  const checkout: Checkout = {
    released: false,
    scope: undefined,
    lastError: undefined,
    release(destroy) {
      if (checkout.released)
        throw new Error('Release called on client which has already been released to the pool.');
      checkout.released = true;
      const giveBack = (): void => {
        session.checkout = undefined;
        acquisition.giveBack(destroy);
      };
      if (destroy) giveBack();
      else session.whenDrained(giveBack);
    },
  };
  return checkout;
}
