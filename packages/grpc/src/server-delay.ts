/**
 * What a server says about trying again: `grpc-retry-pushback-ms` (gRFC A6) in its trailers, or
 * google.rpc.RetryInfo among the details of its status (google/rpc/error_details.proto).
 */
import type { Metadata } from '@grpc/grpc-js';
import { bytesOf, numberOf, readFields } from './wire.js';

/** Milliseconds to wait, or `'never'`: the server asks not to be asked again. */
export type ServerDelay = number | 'never';

const PUSHBACK = 'grpc-retry-pushback-ms';
const DETAILS = 'grpc-status-details-bin';
const RETRY_INFO = '/google.rpc.RetryInfo';
const MAX_INT32 = 2 ** 31 - 1;

/** What the trailers of a call say about trying again; `undefined` if nothing. Pushback goes first. */
export function serverDelay(trailers: Metadata): ServerDelay | undefined {
  const [pushback] = trailers.get(PUSHBACK);
  if (pushback !== undefined) {
    // Anything but an int32 of at least 0 means: don't retry.
    const text = String(pushback);
    return /^\d{1,10}$/.test(text) && Number(text) <= MAX_INT32 ? Number(text) : 'never';
  }
  const [details] = trailers.get(DETAILS);
  return details === undefined || typeof details === 'string' ? undefined : retryInfo(details);
}

/** `retry_delay` of the RetryInfo in a google.rpc.Status, in milliseconds. */
export function retryInfo(status: Uint8Array): number | undefined {
  for (const { number, value } of readFields(status) ?? []) {
    if (number !== 3 || typeof value === 'number') continue;
    const any = readFields(value);
    const type = any && bytesOf(any, 1);
    if (any === undefined || type === undefined) continue;
    if (!Buffer.from(type).toString().endsWith(RETRY_INFO)) continue;
    const info = readFields(bytesOf(any, 2) ?? new Uint8Array());
    const duration = info && readFields(bytesOf(info, 1) ?? new Uint8Array());
    if (duration === undefined) return undefined;
    const delay = numberOf(duration, 1) * 1_000 + numberOf(duration, 2) / 1_000_000;
    // A negative duration is a huge unsigned number here, and says nothing.
    return delay <= MAX_INT32 ? delay : undefined;
  }
  return undefined;
}
