/**
 * What an outcome of pg means: whose failure it is, whether the statement can have run, and whether
 * the connection is still good. By SQLSTATE first; pg's own errors have no code, only a text. Each
 * row is provoked against a real server by a test.
 *
 * A statement error (a duplicate key, a syntax error) is an answer of a healthy server: a success as
 * far as the server goes, and no reason to give the connection up.
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import type { Call, Outcome, Verdict } from '@resil/core';
import { isRefusal, isResilienceError } from '@resil/core';
import { pgState } from './options.js';

/**
 * Whether a statement that ended with an error can have had an effect: `no` (it never reached
 * execution), `undone` (it ran and was rolled back), `maybe` (nobody knows).
 */
export type PgEffect = 'no' | 'undone' | 'maybe';

/** What an error of pg means by itself. */
export interface PgErrorMeaning {
  /** Whose it is, as in a `Verdict`. */
  readonly kind: 'success' | 'failure' | 'ignored';
  /** Whether the statement can have had an effect. */
  readonly effect: PgEffect;
  /** When running the statement again may help: at once, as a whole, only if the caller allows it, never. */
  readonly repeat: 'safe' | 'idempotent' | 'never';
  /** Whether the connection must not be used again. */
  readonly fatal: boolean;
}

type Row = readonly [PgErrorMeaning['kind'], PgEffect, PgErrorMeaning['repeat'], 'fatal'?];

/** By SQLSTATE, or by its class (the first two characters) where the whole code is not listed. */
const BY_STATE: Readonly<Record<string, Row>> = {
  // Connection exceptions; poolers such as PgBouncer send them too.
  '08': ['failure', 'maybe', 'idempotent', 'fatal'],
  '08001': ['failure', 'no', 'safe', 'fatal'],
  '08004': ['failure', 'no', 'safe', 'fatal'],
  // The server is going down, or was told to end this connection.
  '57P01': ['failure', 'maybe', 'idempotent', 'fatal'],
  '57P02': ['failure', 'maybe', 'idempotent', 'fatal'],
  '57P04': ['failure', 'maybe', 'never', 'fatal'],
  '57P05': ['failure', 'maybe', 'idempotent', 'fatal'],
  // Not up yet, or full: nothing was run.
  '57P03': ['failure', 'no', 'safe', 'fatal'],
  '53300': ['failure', 'no', 'safe', 'fatal'],
  // Serialization failure, deadlock: rolled back, run it again. The server is fine.
  '40': ['success', 'undone', 'never'],
  '40001': ['success', 'undone', 'safe'],
  '40P01': ['success', 'undone', 'safe'],
  '40003': ['failure', 'maybe', 'idempotent'],
  // A lock was not to be had in time.
  '55P03': ['success', 'undone', 'idempotent'],
  // statement_timeout; a cancel by somebody else is told apart below.
  '57014': ['failure', 'undone', 'never'],
  // A write on a replica: after a failover this connection leads to the wrong server.
  '25006': ['failure', 'no', 'safe', 'fatal'],
  // The application left a transaction idle, or open, for too long.
  '25P03': ['ignored', 'undone', 'never', 'fatal'],
  '25P04': ['ignored', 'undone', 'never', 'fatal'],
  // Out of memory, disk or other resources; the system; internal errors.
  '53': ['failure', 'undone', 'never'],
  '58': ['failure', 'undone', 'never'],
  XX: ['failure', 'undone', 'never'],
};

/** Any other SQLSTATE: the server answered that the statement is wrong. */
const STATEMENT_ERROR: Row = ['success', 'undone', 'never'];

/** Failures to reach the server, by the system's code. */
const BY_CODE: Readonly<Record<string, Row>> = {
  ECONNREFUSED: ['failure', 'no', 'safe', 'fatal'],
  ENOTFOUND: ['failure', 'no', 'safe', 'fatal'],
  EAI_AGAIN: ['failure', 'no', 'safe', 'fatal'],
  EHOSTUNREACH: ['failure', 'no', 'safe', 'fatal'],
  ENETUNREACH: ['failure', 'no', 'safe', 'fatal'],
  ECONNRESET: ['failure', 'maybe', 'idempotent', 'fatal'],
  EPIPE: ['failure', 'maybe', 'idempotent', 'fatal'],
  ETIMEDOUT: ['failure', 'maybe', 'idempotent', 'fatal'],
};

/** What pg and pg-pool say without a code. */
const BY_MESSAGE: Readonly<Record<string, Row>> = {
  'Connection terminated unexpectedly': ['failure', 'maybe', 'idempotent', 'fatal'],
  'Connection terminated': ['failure', 'maybe', 'idempotent', 'fatal'],
  'Query read timeout': ['failure', 'maybe', 'idempotent', 'fatal'],
  'Connection terminated due to connection timeout': ['failure', 'no', 'safe', 'fatal'],
  'timeout expired': ['failure', 'no', 'safe', 'fatal'],
  'Client has encountered a connection error and is not queryable': [
    'failure',
    'no',
    'safe',
    'fatal',
  ],
  'Client was closed and is not queryable': ['failure', 'no', 'safe', 'fatal'],
  'timeout exceeded when trying to connect': ['ignored', 'no', 'never'],
  'Cannot use a pool after calling end on the pool': ['ignored', 'no', 'never'],
};

/** The server's certificate is not to be trusted: waiting won't change it. */
const UNTRUSTED = /^(?:CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;

/** An error that is none of pg's: thrown while the query was built or its rows were read, by a type parser, by the caller. */
const UNKNOWN: Row = ['ignored', 'maybe', 'never', 'fatal'];

/** What an error means by itself, without knowing what it happened to. Looks through errors that wrap pg's (`cause`). */
export function meaningOf(error: unknown): PgErrorMeaning {
  const [kind, effect, repeat, fatal] = rowOf(error);
  return { kind, effect, repeat, fatal: fatal !== undefined };
}

/** The SQLSTATE of an error, or of what it wraps; `undefined` if it has none. */
export function sqlStateOf(error: unknown): string | undefined {
  for (const { code } of chain(error)) {
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('E'))
      return code;
  }
  return undefined;
}

const ANSWERED: Verdict = Object.freeze({ kind: 'success', repeat: false });
/** A client that was idle in the pool says nothing about the server. */
const UNTOUCHED: Verdict = Object.freeze({ kind: 'ignored', repeat: false });

/**
 * What an outcome means: the standard pipeline's `classify` for pg.
 *
 * A statement is repeated only where it certainly had no effect, or where its caller said that twice
 * does no harm; never inside a transaction, of which it is only a part.
 */
export function classify(outcome: Outcome, call: Call): Verdict {
  const state = pgState(call);
  if (outcome.ok) return state?.operation === 'connect' && state.untouched ? UNTOUCHED : ANSWERED;
  const { error } = outcome;
  const phase = state?.phase ?? 'sent';
  if (isRefusal(error)) return { kind: 'ignored', repeat: false };
  if (isResilienceError(error)) {
    // Not this server's fault; that there is no other is the failure of all of them together.
    if (error.code === 'RESIL_NO_SERVER')
      return { kind: call.endpoint === undefined ? 'failure' : 'ignored', repeat: true };
    // Waiting for a slot of our own pool says nothing about the server.
    if (phase === 'waiting') return { kind: 'ignored', repeat: false };
    return {
      kind: 'failure',
      repeat: error.code === 'RESIL_TIMEOUT' && mayRepeat('maybe', 'idempotent', call),
    };
  }
  const { kind, effect, repeat } = meaningOf(error);
  return { kind, repeat: mayRepeat(effect, repeat, call) };
}

function mayRepeat(effect: PgEffect, repeat: PgErrorMeaning['repeat'], call: Call): boolean {
  const state = pgState(call);
  if (repeat === 'never' || state?.transaction === true) return false;
  // A client that the caller holds is lost with its connection.
  if (state?.held === true && effect !== 'undone') return false;
  if (repeat === 'safe') return true;
  return call.idempotent === true || (state !== undefined && state.phase !== 'sent');
}

function rowOf(error: unknown): Row {
  for (const link of chain(error)) {
    const { code, severity, message } = link;
    if (typeof code === 'string') {
      const system = BY_CODE[code];
      if (system !== undefined) return system;
      if (UNTRUSTED.test(code)) return ['failure', 'no', 'never', 'fatal'];
    }
    const state = sqlStateOf(link);
    if (state !== undefined) {
      // Somebody else cancelled it, an operator say: same code as a timeout, only the text differs.
      if (state === '57014' && String(message).endsWith('user request'))
        return ['ignored', 'undone', 'never'];
      const row = BY_STATE[state] ?? BY_STATE[state.slice(0, 2)] ?? STATEMENT_ERROR;
      const over = severity === 'FATAL' || severity === 'PANIC';
      return over ? [row[0], row[1], row[2], 'fatal'] : row;
    }
    const row = typeof message === 'string' ? BY_MESSAGE[message] : undefined;
    if (row !== undefined) return row;
  }
  return UNKNOWN;
}

interface ErrorLink {
  readonly code?: unknown;
  readonly severity?: unknown;
  readonly message?: unknown;
}

/** An error and what it wraps: its causes, and the parts of an AggregateError (a host with several addresses). */
function* chain(error: unknown): Generator<ErrorLink> {
  let link = error;
  for (let depth = 0; depth < 5 && typeof link === 'object' && link !== null; depth += 1) {
    yield link;
    const { cause, errors } = link as { cause?: unknown; errors?: unknown };
    link = cause ?? (Array.isArray(errors) ? errors[0] : undefined);
  }
}
