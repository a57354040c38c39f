/**
 * What a server says about waiting: `Retry-After` and the RateLimit fields, as milliseconds.
 *
 * `Retry-After` is read strictly by RFC 9110 section 10.2.3 (whole seconds or an HTTP date) and takes
 * precedence. Of the RateLimit fields, the current Structured Fields (`RateLimit: "burst";r=0;t=20` and
 * `RateLimit-Policy: "burst";q=100;w=60`), the dictionary of draft 07 (`limit=100, remaining=0,
 * reset=20`), the three headers of the drafts before it and the `X-RateLimit-` ones that are older
 * still are understood. A malformed field is ignored, as the draft demands: own backoff applies.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
 */
import type { RateHint, RateQuota } from '@resil/core';
import type { WallClock } from './clock.js';
import { type HeaderSource, headerOf } from './headers.js';

/**
 * Milliseconds that the server asked to wait, 0 or more; `undefined` if it says nothing usable.
 *
 * An HTTP date is measured against the answer's own `Date` field if it has one, so that a client
 * whose clock is wrong still waits the right time, and against `wallClock` otherwise.
 */
export function serverDelay(headers: HeaderSource, wallClock: WallClock): number | undefined {
  return retryAfter(headers, wallClock) ?? exhausted(quotasOf(headers, wallClock));
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

/**
 * What an answer says about the server's limits, for `slowDown` and the option `hint` of a
 * `rateLimiter`: `Retry-After`, and each quota with its policy where that is told.
 */
export function rateHint(headers: HeaderSource, wallClock: WallClock): RateHint {
  const asked = retryAfter(headers, wallClock);
  const quotas = quotasOf(headers, wallClock);
  return {
    ...(asked === undefined ? {} : { retryAfter: asked }),
    ...(quotas === undefined ? {} : { quotas }),
  };
}

/** Milliseconds until the last of the exhausted quotas is filled again; 0 if none is. */
function exhausted(quotas: readonly RateQuota[] | undefined): number | undefined {
  if (quotas === undefined || quotas.length === 0) return undefined;
  const empty = quotas.filter((quota) => quota.remaining === 0);
  if (empty.length === 0) return 0;
  const resets = empty.flatMap(({ resetDelay }) => (resetDelay === undefined ? [] : [resetDelay]));
  return resets.length === 0 ? undefined : Math.max(...resets);
}

function quotasOf(headers: HeaderSource, wallClock: WallClock): RateQuota[] | undefined {
  const field = headerOf(headers, 'ratelimit');
  if (field !== undefined) {
    const policies = membersOf(headerOf(headers, 'ratelimit-policy') ?? '');
    return structuredQuotas(field, policies) ?? dictionaryQuota(field);
  }
  return (
    separateQuota(headers, 'ratelimit-', wallClock) ??
    separateQuota(headers, 'x-ratelimit-', wallClock)
  );
}

/** A reset beyond is no delay but a date, in seconds since 1970. */
const LONGEST_DELAY = 1_000_000_000;

function separateQuota(
  headers: HeaderSource,
  prefix: string,
  wallClock: WallClock,
): RateQuota[] | undefined {
  const remaining = wholeNumber(headerOf(headers, `${prefix}remaining`));
  if (remaining === undefined) return undefined;
  const reset = wholeNumber(headerOf(headers, `${prefix}reset`));
  const maxCalls = wholeNumber(headerOf(headers, `${prefix}limit`));
  return [quotaOf(remaining, secondsUntil(reset, headers, wallClock), maxCalls, undefined)];
}

function secondsUntil(
  reset: number | undefined,
  headers: HeaderSource,
  wallClock: WallClock,
): number | undefined {
  if (reset === undefined || reset < LONGEST_DELAY) return reset;
  const now = httpDate(headerOf(headers, 'date')) ?? wallClock();
  return Math.max(0, reset - now / 1000);
}

/** A quota, from seconds. */
function quotaOf(
  remaining: number,
  reset: number | undefined,
  maxCalls: number | undefined,
  window: number | undefined,
): RateQuota {
  return {
    remaining,
    ...(reset === undefined ? {} : { resetDelay: reset * 1000 }),
    ...(maxCalls === undefined ? {} : { maxCalls }),
    ...(window === undefined ? {} : { interval: window * 1000 }),
  };
}

/** A member of the field: a quoted name with quoted, numeric, byte or token parameters. */
const MEMBER =
  /^\s*("(?:[^"\\]|\\["\\])*")((?:\s*;\s*[a-z*][\w.*-]*=(?:"(?:[^"\\]|\\["\\])*"|[^",;\s]+))*)\s*(,|$)/;
const PARAMETER = /;\s*([a-z*][\w.*-]*)=("(?:[^"\\]|\\["\\])*"|[^",;\s]+)/g;

/** The parameters of each member of a list, by its name. */
function membersOf(field: string): Map<string, Map<string, string>> | undefined {
  const members = new Map<string, Map<string, string>>();
  for (let rest = field; ; ) {
    const member = MEMBER.exec(rest);
    if (member === null) return undefined;
    const parameters = [...(member[2] ?? '').matchAll(PARAMETER)];
    members.set(
      member[1] as string,
      new Map(parameters.map(([, key, value]) => [key as string, value as string])),
    );
    if (member[3] === '') return members;
    rest = rest.slice(member[0].length);
  }
}

function structuredQuotas(
  field: string,
  policies: ReturnType<typeof membersOf>,
): RateQuota[] | undefined {
  const members = membersOf(field);
  if (members === undefined) return undefined;
  const quotas: RateQuota[] = [];
  for (const [name, parameters] of members) {
    const remaining = wholeNumber(parameters.get('r'));
    const reset = wholeNumber(parameters.get('t'));
    if (remaining === undefined || (parameters.has('t') && reset === undefined)) return undefined;
    const policy = policies?.get(name);
    // Other units than requests say nothing about the number of calls.
    const unit = policy?.get('qu');
    const counted = unit === undefined || unit === '"requests"' ? policy : undefined;
    const maxCalls = wholeNumber(counted?.get('q'));
    quotas.push(quotaOf(remaining, reset, maxCalls, wholeNumber(counted?.get('w'))));
  }
  return quotas;
}

function dictionaryQuota(field: string): RateQuota[] | undefined {
  const values = new Map<string, number>();
  for (const part of field.split(',')) {
    const pair = /^\s*([a-z]+)=(\d+)\s*$/.exec(part);
    if (pair === null) return undefined;
    values.set(pair[1] as string, Number(pair[2]));
  }
  const remaining = values.get('remaining');
  if (remaining === undefined) return undefined;
  return [quotaOf(remaining, values.get('reset'), values.get('limit'), undefined)];
}

function wholeNumber(value: string | undefined): number | undefined {
  return value !== undefined && /^\d+$/.test(value) ? Number(value) : undefined;
}
