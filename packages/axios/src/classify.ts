/**
 * What an outcome of axios means: whose failure it is, whether repeating is safe, and what the server
 * said about waiting. One table by status, one by error code; each row is provoked against a real
 * server in `test/classification.test.ts`.
 *
 * The status decides only when the whole answer arrived. A body that is cut, stalls or can't be
 * unpacked leaves axios as an error that carries status 200.
 */
import {
  type Call,
  type Classify,
  isResilienceError,
  type Outcome,
  type Verdict,
} from '@resil/core';
import type { AxiosResponse, InternalAxiosRequestConfig } from 'axios';
import { isConsumedBySending, release } from './body.js';
import { systemWallClock, type WallClock } from './clock.js';
import { type HeaderSource, headerOf } from './headers.js';
import { serverDelay } from './retry-after.js';

declare module '@resil/core' {
  interface CallAttributes {
    /** What `@resil/axios` knows about the request of this call; absent in a call that is not one of its own. */
    readonly http?: HttpAttributes;
  }
}

/** What a `classify` or a fallback can't tell from the outcome alone. */
export interface HttpAttributes {
  /** The request: a refusal says nothing about it. To be read only. */
  readonly config: InternalAxiosRequestConfig;
  /** Whether the body can be sent again. */
  readonly replayable: boolean;
}

/** When an outcome may be repeated: whatever the request, only if it does no harm twice, or not at all. */
type Repeat = 'any' | 'idempotent' | 'never';

interface Row {
  readonly kind: Verdict['kind'];
  readonly repeat: Repeat;
}

const row = (kind: Row['kind'], repeat: Repeat): Row => Object.freeze({ kind, repeat });

/** The server, or the way to it, failed before the request was sent. */
const UNREACHABLE = row('failure', 'any');
/** The server, or the way to it, failed, and the request may have been carried out. */
const BROKEN = row('failure', 'idempotent');
/** It failed, and will fail in the same way again. */
const HOPELESS = row('failure', 'never');
/** The server asks for another try and is not to blame. */
const LATER = row('ignored', 'idempotent');
/** The connection was closed while it stood idle: says nothing about the server. */
const STALE = row('ignored', 'idempotent');
/** This machine ran out of ports or descriptors before anything was sent. */
const LOCAL = row('ignored', 'any');
/** The caller's doing: its cancellation, its limits, its options. */
const OURS = row('ignored', 'never');
/** The server did its work, whatever the caller thinks of the answer. */
const ANSWERED = row('success', 'never');

/** By status; those not named are {@link HOPELESS} from 500 and {@link ANSWERED} below. */
const byStatus: Readonly<Record<number, Row>> = {
  408: LATER,
  425: LATER,
  429: LATER,
  500: BROKEN,
  501: ANSWERED,
  502: BROKEN,
  503: BROKEN,
  504: BROKEN,
  505: ANSWERED,
};

/** By error code, where no answer arrived; those not named are {@link BROKEN}. */
const byCode: ReadonlyArray<readonly [RegExp, Row]> = [
  [/^(EMFILE|ENFILE|EADDRNOTAVAIL|ENOBUFS)$/, LOCAL],
  [/^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|UND_ERR_CONNECT_TIMEOUT)$/, UNREACHABLE],
  // Trust doesn't come back by asking again.
  [
    /^(CERT_|ERR_TLS_|ERR_SSL_|EPROTO$|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH$|INVALID_CA$)/,
    HOPELESS,
  ],
  [/^(ERR_NETWORK|ERR_BAD_RESPONSE|ERR_STREAM_PREMATURE_CLOSE|ERR_HTTP2_)/, BROKEN],
  [/^(ERR_|UND_ERR_(INVALID_ARG|NOT_SUPPORTED|REQ_CONTENT_LENGTH_MISMATCH|ABORTED))/, OURS],
];

/** Methods that RFC 9110 section 9.2.2 defines as idempotent, and QUERY, which is safe; in lower case, as axios has them. */
const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set([
  'get',
  'head',
  'options',
  'put',
  'delete',
  'trace',
  'query',
]);

/** Names under which servers take a key that makes a second request of the same key harmless. */
const IDEMPOTENCY_HEADERS = ['idempotency-key', 'x-idempotency-key'] as const;

/**
 * Whether sending the request twice does no harm: what the caller says in `resilience.idempotent`,
 * or else by its method, or because it carries an `Idempotency-Key`.
 */
export function isIdempotent(config: Partial<InternalAxiosRequestConfig> | undefined): boolean {
  if (config === undefined) return false;
  const said = config.resilience?.idempotent;
  if (said !== undefined) return said;
  const method = config.method ?? 'get';
  if (IDEMPOTENT_METHODS.has(method) || IDEMPOTENT_METHODS.has(method.toLowerCase())) return true;
  return hasIdempotencyKey(config.headers);
}

/** Whether a key lets the server know the request again. */
export function hasIdempotencyKey(headers: HeaderSource): boolean {
  return IDEMPOTENCY_HEADERS.some((name) => headerOf(headers, name));
}

/** Whether the request's body can be sent again. */
export function isReplayable(config: Partial<InternalAxiosRequestConfig> | undefined): boolean {
  return config?.resilience?.body !== undefined || !isConsumedBySending(config?.data);
}

/**
 * Makes a `classify` whose HTTP dates are measured by `wallClock`, for the answers that have no
 * `Date` field of their own.
 */
export function createClassify(wallClock: WallClock): Classify {
  return (outcome, call) => {
    const response = responseOf(outcome);
    const judged = outcome.ok ? rowOfStatus(response?.status) : rowOfError(outcome.error, response);
    if (judged === ANSWERED) return response === undefined ? SUCCESS : answeredWith(response);
    const repeat = mayRepeat(judged, outcome, call);
    if (response === undefined) return { kind: judged.kind, repeat };
    return answeredVerdict(judged.kind, repeat, response, wallClock);
  };
}

/** The verdict on an answer: what it says about waiting, and how the socket that its body may hold is freed. */
function answeredVerdict(
  kind: Verdict['kind'],
  repeat: boolean,
  { headers, data }: AxiosResponse,
  wallClock: WallClock,
): Verdict {
  // Also where this call must not be repeated: a rate limiter holds back the others.
  const retryAfter = serverDelay(headers, wallClock);
  return {
    kind,
    repeat,
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(isConsumedBySending(data) ? { discard: () => release(data) } : {}),
  };
}

/** An answer that may come when nobody wants it any more, and then holds its socket. */
function answeredWith({ data }: AxiosResponse): Verdict {
  return isConsumedBySending(data) ? { ...SUCCESS, discard: () => release(data) } : SUCCESS;
}

const SUCCESS: Verdict = Object.freeze({ kind: 'success', repeat: false });

/**
 * Tells what an outcome of axios means. It also works in a pipeline of your own around plain axios
 * calls; wrap it to change single rows.
 *
 * @example
 * ```ts
 * import { classify, resilient } from '@resil/axios';
 * import axios from 'axios';
 *
 * const api = resilient(axios.create({ baseURL: 'https://api.example.com' }), {
 *   // This service answers 409 while another replica holds the lock: asking again helps.
 *   classify: (outcome, call) =>
 *     !outcome.ok && axios.isAxiosError(outcome.error) && outcome.error.response?.status === 409
 *       ? { kind: 'success', repeat: true }
 *       : classify(outcome, call),
 * });
 * ```
 */
export const classify: Classify = createClassify(systemWallClock);

/** The part of an axios error that is looked at; other errors have none of it. */
interface AxiosErrorShape {
  readonly message?: string;
  readonly name?: string;
  readonly code?: string;
  readonly cause?: unknown;
  readonly config?: InternalAxiosRequestConfig;
  readonly request?: {
    readonly reusedSocket?: boolean;
    readonly _currentRequest?: { readonly reusedSocket?: boolean };
  };
  readonly response?: AxiosResponse;
  readonly syscall?: string;
  readonly errors?: unknown;
}

const shapeOf = (error: unknown): AxiosErrorShape =>
  typeof error === 'object' && error !== null ? error : {};

/** The answer that an outcome holds, if there was one. */
export function responseOf(outcome: Outcome): AxiosResponse | undefined {
  if (outcome.ok)
    return typeof outcome.value === 'object'
      ? ((outcome.value as AxiosResponse) ?? undefined)
      : undefined;
  return shapeOf(outcome.error).response;
}

function rowOfStatus(status: number | undefined): Row {
  if (status === undefined || status < 400) return ANSWERED;
  return byStatus[status] ?? (status >= 500 ? HOPELESS : ANSWERED);
}

function rowOfError(error: unknown, response: AxiosResponse | undefined): Row {
  if (isResilienceError(error)) return BROKEN;
  const { code = '', message = '', name } = shapeOf(error);
  if (code === 'ERR_CANCELED') return OURS;
  // The answer was whole, only its text is not JSON.
  if (name === 'SyntaxError') return OURS;
  if (message.startsWith('maxContentLength size of')) return OURS;
  if (response !== undefined) {
    return response.status >= 200 && response.status < 300 ? BROKEN : rowOfStatus(response.status);
  }
  if (isStaleConnection(error)) return STALE;
  for (const [pattern, judged] of byCode) {
    if (pattern.test(code)) return judged === BROKEN && wasNotSent(error) ? UNREACHABLE : judged;
  }
  return wasNotSent(error) ? UNREACHABLE : BROKEN;
}

/**
 * Whether a kept-alive connection turned out to be closed by the server when it was used again. The
 * http adapter alone tells; `_currentRequest` is where follow-redirects keeps the request itself.
 */
export function isStaleConnection(error: unknown): boolean {
  const { code, request, response } = shapeOf(error);
  if ((code !== 'ECONNRESET' && code !== 'EPIPE') || response !== undefined) return false;
  return (request?._currentRequest ?? request)?.reusedSocket === true;
}

/** Whether the error comes from resolving a name or making a connection, so that nothing was sent. */
function wasNotSent(error: unknown): boolean {
  const { syscall, errors, cause, message, code } = shapeOf(error);
  if (syscall !== undefined) return syscall === 'connect' || syscall === 'getaddrinfo';
  // Several addresses were tried, each of them in vain.
  if (Array.isArray(errors) && errors.length > 0) return errors.every(wasNotSent);
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return true;
  if (message?.includes('before secure TLS connection was established')) return true;
  return cause !== undefined && cause !== error && wasNotSent(cause);
}

/** Whether an error says that the server could not be reached, so that nothing was sent. */
export function wasUnreachable(error: unknown): boolean {
  return rowOfError(error, shapeOf(error).response) === UNREACHABLE;
}

function mayRepeat(judged: Row, outcome: Outcome, call: Call): boolean {
  if (judged.repeat === 'never') return false;
  const config = outcome.ok
    ? (outcome.value as AxiosResponse).config
    : shapeOf(outcome.error).config;
  const replayable = call.attributes.http?.replayable ?? isReplayable(config);
  if (!replayable) return false;
  return judged.repeat === 'any' || (call.idempotent ?? isIdempotent(config));
}
