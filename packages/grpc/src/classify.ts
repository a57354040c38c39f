/**
 * What a status of gRPC means: whose failure it is, whether repeating is safe, and what the server said
 * about waiting. One table by code; each row is provoked against a real server in
 * `test/classification.test.ts`.
 *
 * A code alone doesn't tell whether the call was sent, and grpc-js strips what it knows of that before
 * an interceptor sees it (retrying-call.ts, "to remove progress field"). What is left is the text of
 * the statuses that grpc-js makes itself, which come without any metadata of a server's.
 */
import type { Metadata } from '@grpc/grpc-js';
import { type Call, type Classify, isResilienceError, type Verdict } from '@resil/core';
import { serverDelay } from './server-delay.js';
import {
  CANCELLED,
  DEADLINE_EXCEEDED,
  INTERNAL,
  PERMISSION_DENIED,
  RESOURCE_EXHAUSTED,
  UNAUTHENTICATED,
  UNAVAILABLE,
} from './status.js';

declare module '@resil/core' {
  interface CallAttributes {
    /** What `@resil/grpc` knows of a call. */
    readonly grpc?: GrpcAttributes;
  }
}

/** What `classify` and layers of your own can't tell from the outcome alone. */
export interface GrpcAttributes {
  /** Path of the method: `/shop.v1.Inventory/GetStock`. */
  readonly path: string;
  /** Which of the four kinds of method it is. */
  readonly kind: 'unary' | 'server-stream' | 'client-stream' | 'bidi';
  /** Whether an attempt of this call may have reached the server. */
  readonly maybeSent: boolean;
}

/** When an outcome may be repeated: whatever the call, only if it does no harm twice, or not at all. */
type Repeat = 'any' | 'idempotent' | 'never';

interface Row {
  readonly kind: Verdict['kind'];
  readonly repeat: Repeat;
}

const row = (kind: Row['kind'], repeat: Repeat): Row => Object.freeze({ kind, repeat });

/** It failed, and never began. */
const NOT_SENT = row('failure', 'any');
/** It failed, and may have been carried out. */
const BROKEN = row('failure', 'idempotent');
/** It failed, and will fail in the same way again. */
const HOPELESS = row('failure', 'never');
/** The server is well and wants less of us: repeated only when it says when. */
const THROTTLED = row('ignored', 'never');
/** The caller's doing: its messages, its credentials. */
const OURS = row('ignored', 'never');
/** The server did its work, whatever the caller thinks of the answer. */
const ANSWERED = row('success', 'never');

/** By code; those not named are {@link ANSWERED}. */
const byCode: Readonly<Record<number, Row>> = {
  [CANCELLED]: BROKEN,
  2: HOPELESS, // UNKNOWN
  [DEADLINE_EXCEEDED]: BROKEN,
  [RESOURCE_EXHAUSTED]: THROTTLED,
  [INTERNAL]: HOPELESS,
  [UNAVAILABLE]: BROKEN,
  15: HOPELESS, // DATA_LOSS
};

/** Texts of grpc-js for calls of code 14 that no server has seen. */
const UNSENT =
  /^(?:No connection established|Name resolution failed|Stream refused by server|Channel closed before call started)/;

/** The part of a `ServiceError` that is looked at. */
interface StatusShape {
  readonly code?: unknown;
  readonly details?: unknown;
  readonly metadata?: Metadata | undefined;
  readonly cause?: unknown;
}

const SUCCESS: Verdict = Object.freeze({ kind: 'success', repeat: false });

/**
 * Tells what an outcome of gRPC means. It also works in a pipeline of your own around plain grpc-js
 * calls; wrap it to change single rows.
 *
 * @example
 * ```ts
 * import { classify, interceptor } from '@resil/grpc';
 *
 * // This service answers ABORTED while another replica holds the lock: asking again helps.
 * const guarded = interceptor({
 *   classify: (outcome, call) =>
 *     !outcome.ok && (outcome.error as { code?: number }).code === 10
 *       ? { kind: 'success', repeat: true }
 *       : classify(outcome, call),
 * });
 * ```
 */
export const classify: Classify = (outcome, call) => {
  if (outcome.ok) return SUCCESS;
  const { error } = outcome;
  if (isResilienceError(error))
    return verdict(call.attributes.grpc?.maybeSent === false ? NOT_SENT : BROKEN, call);
  const { code, details, metadata, cause } = (error ?? {}) as StatusShape;
  if (typeof code !== 'number') return verdict(OURS, call);
  // A status that another guarded client made of a refusal or a timeout of its own.
  if (isResilienceError(cause)) return verdict(cause.refusal ? OURS : BROKEN, call);
  const said = spokenBy(metadata);
  const judged = said ? (byCode[code] ?? ANSWERED) : rowOfLocal(code, String(details));
  const delay = metadata === undefined ? undefined : serverDelay(metadata);
  if (delay === undefined) return verdict(judged, call);
  if (delay === 'never') return { kind: judged.kind, repeat: false };
  const repeat = judged === THROTTLED || mayRepeat(judged, call);
  return { kind: judged.kind, repeat, retryAfter: delay };
};

/** Whether an attempt that ended with this status may have reached the server. */
export function maybeSent(code: number, details: string, metadata: Metadata): boolean {
  return spokenBy(metadata) || rowOfLocal(code, details) !== NOT_SENT;
}

/** Whether a server (or a proxy before it) sent the status: then at least `content-type` came with it. */
function spokenBy(metadata: Metadata | undefined): boolean {
  if (metadata === undefined) return false;
  for (const _name in metadata.getMap()) return true;
  return false;
}

/** The row of a status that grpc-js made itself. */
function rowOfLocal(code: number, details: string): Row {
  switch (code) {
    case UNAVAILABLE:
      return UNSENT.test(details) ? NOT_SENT : BROKEN;
    case DEADLINE_EXCEEDED:
      // It says where the call was sent to, if it was.
      return details.startsWith('Deadline exceeded') && !details.includes('remote_addr=')
        ? NOT_SENT
        : BROKEN;
    case INTERNAL:
      return details.startsWith('Request message serialization failure') ? OURS : HOPELESS;
    case PERMISSION_DENIED:
    case UNAUTHENTICATED:
      // Credentials that could not be had, a channel that is not secure enough for them.
      return OURS;
    default:
      return byCode[code] ?? ANSWERED;
  }
}

function verdict(judged: Row, call: Call): Verdict {
  return { kind: judged.kind, repeat: mayRepeat(judged, call) };
}

function mayRepeat(judged: Row, call: Call): boolean {
  return judged.repeat === 'any' || (judged.repeat === 'idempotent' && call.idempotent === true);
}
