/**
 * What a server says about waiting: `Retry-After` and the RateLimit fields, as milliseconds.
 *
 * `Retry-After` is read strictly by RFC 9110 section 10.2.3 (whole seconds or an HTTP date) and takes
 * precedence. Of the RateLimit fields, the current Structured Field (`RateLimit: "burst";r=0;t=20`),
 * the dictionary of draft 07 (`limit=100, remaining=0, reset=20`) and the three headers of the drafts
 * before it are understood. A malformed field is ignored, as the draft demands: own backoff applies.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
 */
import type { WallClock } from './clock.js';
import { type HeaderSource, headerOf } from './headers.js';

/**
 * Milliseconds that the server asked to wait, 0 or more; `undefined` if it says nothing usable.
 *
 * An HTTP date is measured against the answer's own `Date` field if it has one, so that a client
 * whose clock is wrong still waits the right time, and against `wallClock` otherwise.
 */
export function serverDelay(headers: HeaderSource, wallClock: WallClock): number | undefined {
  return retryAfter(headers, wallClock) ?? rateLimit(headers);
}

function retryAfter(headers: HeaderSource, wallClock: WallClock): number | undefined {
  const value = headerOf(headers, 'retry-after');
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const date = httpDate(value);
  if (date === undefined) return undefined;
  const now = httpDate(headerOf(headers, 'date')) ?? wallClock();
  return Math.max(0, date - now);
}

/** IMF-fixdate and RFC 850 name their zone; asctime means GMT without saying so. */
const ZONED_DATE = /^[A-Z][a-z]{2,8}, \d{2}[ -][A-Z][a-z]{2}[ -]\d{2,4} \d{2}:\d{2}:\d{2} GMT$/;
const ASCTIME_DATE = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

function httpDate(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  let time = Number.NaN;
  if (ZONED_DATE.test(value)) time = Date.parse(value);
  else if (ASCTIME_DATE.test(value)) time = Date.parse(`${value} GMT`);
  return Number.isNaN(time) ? undefined : time;
}

/** One quota: what remains of it, and in how many seconds there is more. */
interface Quota {
  readonly remaining: number;
  readonly reset: number | undefined;
}

function rateLimit(headers: HeaderSource): number | undefined {
  const quotas = quotasOf(headers);
  if (quotas === undefined || quotas.length === 0) return undefined;
  const exhausted = quotas.filter((quota) => quota.remaining === 0);
  if (exhausted.length === 0) return 0;
  const resets = exhausted.flatMap(({ reset }) => (reset === undefined ? [] : [reset]));
  return resets.length === 0 ? undefined : Math.max(...resets) * 1000;
}

function quotasOf(headers: HeaderSource): Quota[] | undefined {
  const field = headerOf(headers, 'ratelimit');
  if (field !== undefined) return structuredQuotas(field) ?? dictionaryQuota(field);
  const remaining = wholeNumber(headerOf(headers, 'ratelimit-remaining'));
  if (remaining === undefined) return undefined;
  return [{ remaining, reset: wholeNumber(headerOf(headers, 'ratelimit-reset')) }];
}

/** A member of the field: a quoted name with quoted, numeric, byte or token parameters. */
const MEMBER =
  /^\s*"(?:[^"\\]|\\["\\])*"((?:\s*;\s*[a-z*][\w.*-]*=(?:"(?:[^"\\]|\\["\\])*"|[^",;\s]+))*)\s*(,|$)/;
const PARAMETER = /;\s*([a-z*][\w.*-]*)=("(?:[^"\\]|\\["\\])*"|[^",;\s]+)/g;

function structuredQuotas(field: string): Quota[] | undefined {
  const quotas: Quota[] = [];
  for (let rest = field; ; ) {
    const member = MEMBER.exec(rest);
    if (member === null) return undefined;
    const parameters = new Map(
      [...(member[1] ?? '').matchAll(PARAMETER)].map(([, key, value]) => [key, value]),
    );
    const remaining = wholeNumber(parameters.get('r'));
    const reset = wholeNumber(parameters.get('t'));
    if (remaining === undefined || (parameters.has('t') && reset === undefined)) return undefined;
    quotas.push({ remaining, reset });
    if (member[2] === '') return quotas;
    rest = rest.slice(member[0].length);
  }
}

function dictionaryQuota(field: string): Quota[] | undefined {
  const values = new Map<string, number>();
  for (const part of field.split(',')) {
    const pair = /^\s*([a-z]+)=(\d+)\s*$/.exec(part);
    if (pair === null) return undefined;
    values.set(pair[1] as string, Number(pair[2]));
  }
  const remaining = values.get('remaining');
  return remaining === undefined ? undefined : [{ remaining, reset: values.get('reset') }];
}

function wholeNumber(value: string | undefined): number | undefined {
  return value !== undefined && /^\d+$/.test(value) ? Number(value) : undefined;
}
