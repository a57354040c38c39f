/**
 * gRPC's statuses: the codes, the error that stands for one inside a pipeline, and the status that
 * stands for one of our errors outside of it.
 *
 * The numbers are gRPC's own (https://grpc.io/docs/guides/status-codes/). They are written down here,
 * and nothing of grpc-js is imported at run time, so that a client from another copy of grpc-js is
 * guarded just as well.
 */
import type { Metadata, ServiceError, StatusObject } from '@grpc/grpc-js';
import { isRefusal, isResilienceError, type ResilienceError } from '@resil/core';

const NAMES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

/** Codes of the statuses that are spoken of here. */
export const OK = 0;
export const CANCELLED = 1;
export const UNKNOWN = 2;
export const DEADLINE_EXCEEDED = 4;
export const PERMISSION_DENIED = 7;
export const RESOURCE_EXHAUSTED = 8;
export const INTERNAL = 13;
export const UNAVAILABLE = 14;
export const UNAUTHENTICATED = 16;

/** What grpc-js itself says when a caller cancels. */
export const CANCELLED_ON_CLIENT = 'Cancelled on client';

/**
 * A status other than OK, as it goes through a pipeline: like the `ServiceError` that the caller gets,
 * but without a stack (it is made when things go wrong, often), and with metadata that are neither
 * logged nor serialised.
 */
export class StatusError extends Error implements ServiceError {
  readonly code: number;
  readonly details: string;
  declare readonly metadata: Metadata;

  constructor(status: StatusObject) {
    const engine: { stackTraceLimit?: number | undefined } = Error;
    const limit = engine.stackTraceLimit;
    engine.stackTraceLimit = 0;
    super(`${status.code} ${NAMES[status.code]}: ${status.details}`);
    engine.stackTraceLimit = limit;
    this.code = status.code;
    this.details = status.details;
    Object.defineProperty(this, 'metadata', { value: status.metadata, enumerable: false });
  }
}

/** A status of ours: `cause` ends up in the error that grpc-js makes of it. */
export interface OwnStatus extends StatusObject {
  readonly cause?: unknown;
}

/** The status that tells a caller of `error`, whatever it is. */
export function statusOf(error: unknown, metadata: Metadata): OwnStatus {
  if (error instanceof StatusError) {
    const { code, details } = error;
    return { code, details, metadata: error.metadata };
  }
  const { code, details } = (error ?? {}) as { code?: unknown; details?: unknown };
  if (typeof code === 'number' && typeof details === 'string') {
    // A fallback that called another service, and failed as that did.
    return { code, details, metadata, cause: error };
  }
  const message = error instanceof Error ? error.message : String(error);
  const own = isResilienceError(error) ? codeOf(error) : UNKNOWN;
  return { code: own, details: message, metadata, cause: error };
}

/** Local saturation is RESOURCE_EXHAUSTED, lateness is DEADLINE_EXCEEDED, every other refusal UNAVAILABLE. */
function codeOf(error: ResilienceError): number {
  switch (error.code) {
    case 'RESIL_TIMEOUT':
      return DEADLINE_EXCEEDED;
    case 'RESIL_BULKHEAD_FULL':
    case 'RESIL_QUEUE_TIMEOUT':
    case 'RESIL_LIMIT_EXCEEDED':
    case 'RESIL_RATE_LIMITED':
      return RESOURCE_EXHAUSTED;
    default:
      return isRefusal(error) ? UNAVAILABLE : UNKNOWN;
  }
}
