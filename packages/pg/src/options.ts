/**
 * What a resilient pool can be told, what one query can say of itself, and the defaults. Everything
 * that is not pg's own is the standard pipeline's: see `standard` in @resil/core.
 */
import type { Call, Clock, OptionRules, Pipeline, StandardOptions } from '@resil/core';
import {
  booleanRule,
  checkOptions,
  clockRule,
  countRule,
  durationRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  objectRule,
  oneOfRule,
  positiveDurationRule,
  standard,
  unregister,
} from '@resil/core';
import { TARGET_SESSION_ATTRS, type TargetSessionAttrs } from './target-session.js';

/** Options of {@link resilient}: those of the standard pipeline, and those that only a pool has. */
export interface PgOptions extends Omit<StandardOptions, 'key' | 'hedge'> {
  /**
   * Groups calls for breaker, budget and events. A query's own `resilience.key` goes first.
   *
   * Default: where the pool connects to, `host:port/database`.
   */
  readonly key?: string | undefined;
  /**
   * Replaces the standard pipeline: gives the pipeline of a key. It is called once for each key; at
   * most 1,000 are kept. Parts of the standard pipeline can't be given beside it.
   */
  readonly pipeline?: ((key: string) => Pipeline) | undefined;
  /**
   * Milliseconds to get a client: waiting for a free one and connecting a new one, together.
   *
   * Above 0, less than `attemptTimeout`: a full pool is to be told from a slow server. Where the pool
   * has no `connectionTimeoutMillis`, it is given this one: without it, a connect that nobody answers
   * would hold its slot for ever.
   *
   * @defaultValue `pgDefaults.acquireTimeout` (5,000), or half of `attemptTimeout` if that is less
   */
  readonly acquireTimeout?: number | undefined;
  /**
   * Calls that may wait for a client while all are in use; 0 refuses at once.
   *
   * @defaultValue `pgDefaults.maxWaiting` (1,000)
   */
  readonly maxWaiting?: number | undefined;
  /**
   * Milliseconds that a cancelled query has to end on the server, before its connection is closed.
   *
   * Above 0. The caller doesn't wait for it; the client is not used by anybody else until then.
   *
   * @defaultValue `pgDefaults.cancelGraceDuration` (1,000)
   */
  readonly cancelGraceDuration?: number | undefined;
  /**
   * Whether the time that a call has left is sent to the server as `statement_timeout`, so that the
   * server stops by itself when neither we nor our cancel request can reach it any more.
   *
   * Rounded up to a power of two milliseconds, so that a session needs it set rarely (one round trip
   * when it changes); never above what the session had. Not behind a pooler that hands out sessions
   * per transaction.
   *
   * @defaultValue `pgDefaults.sendDeadline` (false)
   */
  readonly sendDeadline?: boolean | undefined;
  /**
   * Which of several servers calls run on, in libpq's words. A query's own
   * `resilience.targetSessionAttrs` goes first.
   *
   * @defaultValue `'read-write'` for several pools, `'any'` for one
   */
  readonly targetSessionAttrs?: TargetSessionAttrs | undefined;
  /** Told when a connection that nobody was using a query on is lost, beside the pool's own `'error'` event. Default: nobody. */
  readonly onConnectionLost?: ((error: Error) => void) | undefined;
}

/** Defaults of {@link PgOptions}, where they are not those of `standard`. */
export const pgDefaults: {
  readonly name: string;
  readonly acquireTimeout: number;
  readonly maxWaiting: number;
  readonly cancelGraceDuration: number;
  readonly sendDeadline: boolean;
  readonly totalTimeout: number;
  readonly attemptTimeout: number;
  readonly bulkhead: false;
  readonly maxKeys: number;
} = Object.freeze({
  name: 'pg',
  acquireTimeout: 5_000,
  maxWaiting: 1_000,
  cancelGraceDuration: 1_000,
  sendDeadline: false,
  // Databases answer reports and migrations too: more patience than with a service.
  totalTimeout: 30_000,
  attemptTimeout: 10_000,
  // The pool is one already.
  bulkhead: false,
  maxKeys: 1_000,
});

/** What one query says of itself, as `resilience` in its query config. */
export interface QueryResilience {
  /** Whether running it twice does no harm. Default: not known, so it is repeated only where it certainly didn't run. */
  readonly idempotent?: boolean | undefined;
  /** When the query must have settled, on the clock's scale (`performance.now()`). Default: the pipeline's timeouts alone. */
  readonly deadline?: number | undefined;
  /** Cancels the query, on the server too. */
  readonly signal?: AbortSignal | undefined;
  /** Importance, higher first. Default: 0. */
  readonly priority?: number | undefined;
  /** Groups the call for breaker, budget and events, for one pool in front of several databases. Default: the pool's. */
  readonly key?: string | undefined;
  /** Which of several servers it may run on: `'prefer-standby'` takes a read off the primary. Default: the pool's. */
  readonly targetSessionAttrs?: TargetSessionAttrs | undefined;
}

declare module 'pg' {
  // biome-ignore lint/suspicious/noExplicitAny: the type parameter and its default must be those of the original
  interface QueryConfig<I = any[]> {
    /** How this query is to be treated by a resilient pool. */
    resilience?: QueryResilience | undefined;
  }
}

/** Where a query is on its way; decides whose failure it is and whether it can have run. */
export type QueryPhase = 'waiting' | 'connecting' | 'ready' | 'sent';

/** What the adapter knows of a call, for `classify`. */
export interface PgCallState {
  /** Running a statement, or having a client for somebody who will. */
  readonly operation: 'query' | 'connect';
  /** How far the current attempt has come. `sent`: the server may have run it. */
  phase: QueryPhase;
  /** Which servers it may run on. */
  readonly target: TargetSessionAttrs;
  /** Whether it runs within an open transaction, where nothing can be repeated by itself. */
  readonly transaction: boolean;
  /** Whether it runs on a client that the caller holds; a lost connection can't be replaced then. */
  readonly held: boolean;
  /** Whether a client was had without touching the server, which says nothing about it. */
  untouched: boolean;
}

declare module '@resil/core' {
  interface CallAttributes {
    /** Set by @resil/pg. */
    pg?: PgCallState;
  }
}

/** The options of {@link resilient} with their defaults filled in. */
export interface ResolvedPgOptions {
  readonly name: string;
  readonly acquireTimeout: number;
  readonly maxWaiting: number;
  readonly cancelGraceDuration: number;
  readonly sendDeadline: boolean;
  readonly targetSessionAttrs: TargetSessionAttrs;
  readonly onConnectionLost: ((error: Error) => void) | undefined;
  readonly clock: Clock | undefined;
  readonly key: string | undefined;
  readonly pipeline: ((key: string) => Pipeline) | undefined;
  /** What is handed on to `standard`. */
  readonly standard: StandardOptions;
}

type OwnOptions = Omit<PgOptions, Exclude<keyof StandardOptions, 'name' | 'clock' | 'key'>>;

const targetRule = oneOfRule(...TARGET_SESSION_ATTRS);

const rules: OptionRules<OwnOptions> = {
  name: nameRule,
  key: nameRule,
  clock: clockRule,
  pipeline: functionRule,
  acquireTimeout: positiveDurationRule(),
  maxWaiting: countRule(0),
  cancelGraceDuration: positiveDurationRule(),
  sendDeadline: booleanRule,
  targetSessionAttrs: targetRule,
  onConnectionLost: functionRule,
};

const queryRules: OptionRules<QueryResilience> = {
  idempotent: booleanRule,
  deadline: durationRule(0, true),
  signal: objectRule('an AbortSignal', (value) => typeof value.addEventListener === 'function'),
  priority: {
    test: (value) => typeof value === 'number' && !Number.isNaN(value),
    text: 'a number',
  },
  key: nameRule,
  targetSessionAttrs: targetRule,
};

/** Checks the options and fills in the defaults. What is not pg's own goes on to `standard`, which checks it. */
export function resolveOptions(options: PgOptions, servers = 1): ResolvedPgOptions {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new InvalidOptionError('resilient options', options, 'must be an object');
  }
  const {
    acquireTimeout,
    maxWaiting,
    cancelGraceDuration,
    sendDeadline,
    targetSessionAttrs,
    onConnectionLost,
    pipeline,
    key,
    ...rest
  } = options;
  refuseHedge(rest);
  const { name = pgDefaults.name, clock, random, ...parts } = rest;
  checkOptions(
    'resilient',
    {
      acquireTimeout,
      maxWaiting,
      cancelGraceDuration,
      sendDeadline,
      targetSessionAttrs,
      onConnectionLost,
      pipeline,
      key,
      name,
      clock,
    },
    rules,
  );
  const limits = timeoutsOf(parts);
  if (pipeline === undefined) checkAcquireTimeout(acquireTimeout, limits.attemptTimeout);
  const part = Object.entries(parts).find(
    ([name, value]) => value !== undefined && name !== 'classify' && name !== 'dependency',
  );
  if (pipeline !== undefined && part !== undefined) {
    throw new InvalidOptionError(
      `resilient.${part[0]}`,
      part[1],
      'belongs to the standard pipeline and must not be given beside pipeline',
    );
  }
  const resolved: ResolvedPgOptions = {
    name,
    clock,
    key,
    pipeline,
    acquireTimeout:
      acquireTimeout ??
      Math.min(pgDefaults.acquireTimeout, (Number(limits.attemptTimeout) || Infinity) / 2),
    maxWaiting: maxWaiting ?? pgDefaults.maxWaiting,
    cancelGraceDuration: cancelGraceDuration ?? pgDefaults.cancelGraceDuration,
    sendDeadline: sendDeadline ?? pgDefaults.sendDeadline,
    targetSessionAttrs: targetSessionAttrs ?? (servers > 1 ? 'read-write' : 'any'),
    onConnectionLost,
    standard: {
      bulkhead: pgDefaults.bulkhead,
      ...given(parts),
      ...limits,
      name,
      clock,
      random,
    },
  };
  // Bad parts are refused before anything is made of what follows from them.
  if (pipeline === undefined) unregister(standard(resolved.standard));
  return resolved;
}

/** What a call knows of where its query is, it knows of one attempt at a time. */
function refuseHedge(options: StandardOptions): void {
  if (options.hedge === undefined || options.hedge === false) return;
  throw new InvalidOptionError(
    'resilient.hedge',
    options.hedge,
    'must be left out: a query does not run on two connections at once',
  );
}

/** Where one of the two is given, the other's default gives way to it. */
function timeoutsOf({ totalTimeout, attemptTimeout }: StandardOptions): {
  totalTimeout: number | false;
  attemptTimeout: number | false;
} {
  const total = totalTimeout ?? Math.max(pgDefaults.totalTimeout, Number(attemptTimeout) || 0);
  const attempt = attemptTimeout ?? Math.min(pgDefaults.attemptTimeout, Number(total) || Infinity);
  return { totalTimeout: total, attemptTimeout: attempt };
}

/** What ends a wait for the pool must be the pool's own limit: an attempt timeout counts against the server. */
function checkAcquireTimeout(acquireTimeout: number | undefined, limit: number | false): void {
  if (acquireTimeout === undefined || limit === false || !(acquireTimeout >= limit)) return;
  throw new InvalidOptionError(
    'resilient.acquireTimeout',
    acquireTimeout,
    `must be less than attemptTimeout (${limit})`,
  );
}

/** An option that is `undefined` counts as left out. */
function given<Options extends object>(options: Options): Options {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Options;
}

/** Checks what a query says of itself. */
export function checkQueryResilience(value: QueryResilience): void {
  checkOptions('resilience', value, queryRules);
}

/** What the adapter knows of a call; `undefined` for a call of somebody else. */
export function pgState(call: Call): PgCallState | undefined {
  return call.attributes.pg;
}
