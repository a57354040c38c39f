/**
 * A transaction as a whole: begin, the caller's work, commit; all of it again when the server asks
 * for it. A statement within a transaction can't be repeated by itself: after a serialization failure
 * or a deadlock everything before it is gone too.
 *
 * ```
 *   BEGIN ─▶ fn(client) ─▶ COMMIT ─▶ done
 *     │          │            ├─ 40001, 40P01 ──────────────▶ again
 *     │          │            ├─ answered ROLLBACK ─────────▶ error (the work swallowed a failure)
 *     │          │            └─ answer lost ───────────────▶ RESIL_OUTCOME_UNKNOWN, never again
 *     │          ├─ 40001, 40P01, connection lost ──────────▶ ROLLBACK, again
 *     └─ not connected ────┘── anything else ───────────────▶ ROLLBACK, error
 * ```
 */
import {
  booleanRule,
  type CallOptions,
  type Classify,
  type Clock,
  checkOptions,
  clockRule,
  countRule,
  durationRule,
  functionRule,
  InvalidOptionError,
  isRefusal,
  isResilienceError,
  nameRule,
  type OptionRules,
  objectRule,
  oneOfRule,
  type Pipeline,
  pipeline,
  type Random,
  ResilienceError,
  retry,
  unregister,
} from '@resil/core';
import type { Pool, PoolClient, QueryResult } from 'pg';
import { meaningOf, sqlStateOf } from './classify.js';
import type { PoolContext } from './context.js';
import { insideTransaction, warnIfNested } from './nested-use.js';
import { inTransaction } from './raw-client.js';
import { contextOf } from './resilient.js';
import type { Checkout, Session } from './session.js';
import { outcomeUnknown } from './statement.js';
import { TARGET_SESSION_ATTRS, type TargetSessionAttrs } from './target-session.js';

/** Isolation levels of PostgreSQL. */
export type IsolationLevel = 'read committed' | 'repeatable read' | 'serializable';

/** Options of {@link transaction}. */
export interface TransactionOptions {
  /** Isolation level. Default: the server's. */
  readonly isolation?: IsolationLevel | undefined;
  /** Whether writes are refused. Default: the server's. */
  readonly readOnly?: boolean | undefined;
  /** Whether a serializable, read-only transaction waits until it can't fail any more. Default: the server's. */
  readonly deferrable?: boolean | undefined;
  /**
   * Runs of the whole function, the first included.
   *
   * @defaultValue `transactionDefaults.maxAttempts` (5)
   */
  readonly maxAttempts?: number | undefined;
  /**
   * Milliseconds that the delays between the runs grow from, at random between 0 and that.
   *
   * @defaultValue `transactionDefaults.baseDelay` (20)
   */
  readonly baseDelay?: number | undefined;
  /**
   * Longest delay in milliseconds.
   *
   * @defaultValue `transactionDefaults.maxDelay` (1,000)
   */
  readonly maxDelay?: number | undefined;
  /** When all runs together must have ended, on the clock's scale (`performance.now()`). Default: no deadline. */
  readonly deadline?: number | undefined;
  /** Cancels it: what runs on the server too. */
  readonly signal?: AbortSignal | undefined;
  /** Which of several servers it may run on. Default: the pool's. */
  readonly targetSessionAttrs?: TargetSessionAttrs | undefined;
  /** Importance of its connection, higher first. Default: 0. */
  readonly priority?: number | undefined;
  /** Groups the calls for breaker, budget and events. Default: the pool's. */
  readonly key?: string | undefined;
  /** Name of the call in events. @defaultValue `transactionDefaults.name` (`'transaction'`) */
  readonly name?: string | undefined;
  /** Source of chance for the delays. Default: `Math.random`. */
  readonly random?: Random | undefined;
  /** Source of time. Default: that of the pool. */
  readonly clock?: Clock | undefined;
}

/** Defaults of {@link transaction}. */
export const transactionDefaults: {
  readonly maxAttempts: number;
  readonly baseDelay: number;
  readonly maxDelay: number;
  readonly name: string;
} = Object.freeze({ maxAttempts: 5, baseDelay: 20, maxDelay: 1_000, name: 'transaction' });

const rules: OptionRules<TransactionOptions> = {
  isolation: oneOfRule('read committed', 'repeatable read', 'serializable'),
  readOnly: booleanRule,
  deferrable: booleanRule,
  maxAttempts: countRule(1),
  baseDelay: durationRule(),
  maxDelay: durationRule(),
  deadline: durationRule(0, true),
  targetSessionAttrs: oneOfRule(...TARGET_SESSION_ATTRS),
  signal: objectRule('an AbortSignal', (value) => typeof value.addEventListener === 'function'),
  priority: {
    test: (value) => typeof value === 'number' && !Number.isNaN(value),
    text: 'a number',
  },
  key: nameRule,
  name: nameRule,
  random: functionRule,
  clock: clockRule,
};

/**
 * The server answered COMMIT with ROLLBACK: a statement had failed, and the function went on as if it
 * had not. Nothing of the transaction is in the database. Code `RESIL_TRANSACTION_ROLLED_BACK`;
 * `cause` is the failure that was passed over.
 */
export class TransactionRolledBackError extends ResilienceError {
  constructor(name: string, cause: unknown) {
    super(
      'RESIL_TRANSACTION_ROLLED_BACK',
      'the server rolled the transaction back at COMMIT, because a statement in it had failed; let such an error out of the function',
      { strategy: name, cause },
    );
  }
}

/**
 * Runs `fn` in a transaction, on a client of its own, and commits. The whole function runs again after
 * a serialization failure or a deadlock, and after a connection that was lost before COMMIT was sent:
 * it must have no effects but those of its queries.
 *
 * Rejects with what `fn` threw (rolled back), with `OutcomeUnknownError` if the answer to COMMIT was
 * lost, with {@link TransactionRolledBackError}, or as a query of the pool does.
 *
 * @throws InvalidOptionError for a pool that `resilient` did not give, and bad options.
 * @example
 * ```ts
 * import { resilient, transaction } from '@resil/pg';
 * import pg from 'pg';
 *
 * const pool = resilient(new pg.Pool());
 * async function transfer(from: string, to: string, amount: number): Promise<void> {
 *   await transaction(pool, async (client) => {
 *     await client.query('update accounts set balance = balance - $1 where id = $2', [amount, from]);
 *     await client.query('update accounts set balance = balance + $1 where id = $2', [amount, to]);
 *   }, { isolation: 'serializable' });
 * }
 * ```
 */
export async function transaction<T>(
  pool: Pool,
  fn: (client: PoolClient) => T | PromiseLike<T>,
  options: TransactionOptions = {},
): Promise<T> {
  const context = contextOf(pool);
  if (typeof fn !== 'function')
    throw new InvalidOptionError('transaction: fn', fn, 'must be a function');
  checkOptions('transaction', options, rules);
  warnIfNested(context);
  const { signal, deadline, key, name = transactionDefaults.name } = options;
  const progress: Progress = { committing: false };
  try {
    return await repeated(context, options).execute(
      (call) => attempt(context, fn, options, call.deadline, progress),
      { signal, deadline, key, name },
    );
  } catch (error) {
    // The deadline answers in place of the COMMIT.
    const cut = isResilienceError(error) && error.code === 'RESIL_TIMEOUT';
    throw cut && progress.committing ? outcomeUnknown(context.options.name, error) : error;
  }
}

/** How far a transaction has come. */
interface Progress {
  committing: boolean;
}

function repeated(context: PoolContext, options: TransactionOptions): Pipeline {
  const { random } = options;
  const maxAttempts = options.maxAttempts ?? transactionDefaults.maxAttempts;
  const baseDelay = options.baseDelay ?? transactionDefaults.baseDelay;
  const maxDelay = options.maxDelay ?? Math.max(baseDelay, transactionDefaults.maxDelay);
  const clock = options.clock ?? context.options.clock;
  const again = retry({ maxAttempts, baseDelay, maxDelay, random });
  return unregister(
    pipeline({ name: context.options.name, clock, classify: classifierOf(options) }, again),
  );
}

/** Which ends of a whole transaction ask for another one. */
function classifierOf({ readOnly }: TransactionOptions): Classify {
  return (outcome) => {
    if (outcome.ok) return 'success';
    const { error } = outcome;
    if (isResilienceError(error)) {
      const rolledBack = error instanceof TransactionRolledBackError && isRetryable(error.cause);
      const repeat = rolledBack || error.code === 'RESIL_NO_SERVER';
      return { kind: isRefusal(error) ? 'ignored' : 'failure', repeat };
    }
    const { kind, fatal, repeat } = meaningOf(error);
    // A write in a transaction that was asked to refuse writes fails on every server.
    if (readOnly === true && sqlStateOf(error) === '25006')
      return { kind: 'success', repeat: false };
    // What had happened before COMMIT was sent is undone with its connection.
    return {
      kind,
      repeat: isRetryable(error) || (kind === 'failure' && fatal && repeat !== 'never'),
    };
  };
}

function isRetryable(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state === '40001' || state === '40P01';
}

async function attempt<T>(
  context: PoolContext,
  fn: (client: PoolClient) => T | PromiseLike<T>,
  options: TransactionOptions,
  deadline: number,
  progress: Progress,
): Promise<T> {
  const { signal, key, priority } = options;
  const limits: CallOptions = { signal, deadline, key, priority };
  // Not repeated by itself: the whole attempt is.
  const session = await context.checkOut((set) => set.start, limits, options.targetSessionAttrs);
  const checkout = session.checkout as Checkout;
  checkout.scope = { signal, deadline };
  const client = context.wrap(session);
  try {
    await client.query(beginOf(context, options, deadline));
    const result = await insideTransaction(context, () => fn(client));
    progress.committing = true;
    await commit(context, session, checkout, client);
    return result;
  } catch (error) {
    progress.committing = false;
    checkout.scope = undefined;
    if (!session.evict) await rollback(session, client);
    throw error;
  } finally {
    if (!checkout.released) checkout.release();
  }
}

function beginOf(context: PoolContext, options: TransactionOptions, deadline: number): string {
  const modes = [
    options.isolation === undefined ? '' : `isolation level ${options.isolation}`,
    options.readOnly === undefined ? '' : options.readOnly ? 'read only' : 'read write',
    options.deferrable === undefined ? '' : options.deferrable ? 'deferrable' : 'not deferrable',
  ];
  const begin = ['begin', modes.filter((mode) => mode !== '').join(', ')].join(' ').trimEnd();
  if (!context.options.sendDeadline || deadline === Number.POSITIVE_INFINITY) return begin;
  const { clock } = context.servers.first.source;
  const left = Math.max(1, Math.ceil(deadline - clock.now()));
  return `${begin}; set local statement_timeout = ${Math.min(left, 2 ** 31 - 1)}`;
}

async function commit(
  context: PoolContext,
  session: Session,
  checkout: Checkout,
  client: PoolClient,
): Promise<void> {
  // The function may have ended it by itself.
  if (!inTransaction(session.client) && !session.evict) return;
  const { lastError } = checkout;
  const { command } = (await client.query('commit')) as QueryResult;
  if (command !== 'COMMIT') throw new TransactionRolledBackError(context.options.name, lastError);
}

/** Rolls back; where that fails the connection goes, and the server does it. */
async function rollback(session: Session, client: PoolClient): Promise<void> {
  if (!inTransaction(session.client)) return;
  try {
    await client.query('rollback');
  } catch {
    session.evict = true;
  }
}
