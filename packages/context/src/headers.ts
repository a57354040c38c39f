/**
 * The context between processes: two headers, for HTTP, gRPC metadata and Kafka records alike.
 *
 *   resil-deadline: 1500                         milliseconds that are left, as grpc-timeout tells them:
 *                                                clocks of two machines differ, durations don't
 *   resil-context: priority=5, idempotent, retried      a dictionary of RFC 9651
 *
 * Read strictly: a header that is not exactly of this form, or longer than it can be, is ignored as a
 * whole. Keys that are not known are passed over, so that a newer peer may say more.
 */
import { type AmbientContext, type Clock, systemClock } from '@resil/core';

/** Header of the milliseconds that are left, a whole number. */
export const DEADLINE_HEADER = 'resil-deadline';
/** Header of everything else: `priority`, `idempotent`, `retried`. */
export const CONTEXT_HEADER = 'resil-context';

/** Where headers are read from: what Node, Fastify, Express and kafkajs hold them in, lower case. */
export type HeaderRecord = Readonly<Record<string, unknown>>;

const MAX_DURATION = 9_999_999_999;
const DURATION = /^\d{1,10}$/;
const MAX_LENGTH = 256;
const MEMBER =
  /^(?<key>[a-z*][a-z0-9_.*-]{0,63})(?:=(?<value>\?[01]|-?\d{1,12}\.\d{1,3}|-?\d{1,15}|[A-Za-z*][\w!#$%&'*+.^`|~:/-]*))?$/;

/**
 * The headers that tell `context`: none for what it doesn't say.
 *
 * A deadline is told as what is left of it now, rounded down. A priority has at most three decimals,
 * and up to twelve digits before them; another is not told.
 */
export function writeContext(context: AmbientContext): Record<string, string> {
  const headers: Record<string, string> = {};
  const { deadline = Infinity, clock = systemClock } = context;
  if (deadline !== Infinity) {
    const left = Math.floor(deadline - clock.now());
    headers[DEADLINE_HEADER] = String(Math.min(MAX_DURATION, Math.max(0, left)));
  }
  const members = [
    ...priorityMember(context.priority),
    ...flagMember('idempotent', context.idempotent),
    ...(context.retried === true ? ['retried'] : []),
  ];
  if (members.length > 0) headers[CONTEXT_HEADER] = members.join(', ');
  return headers;
}

/** The milliseconds that are left, by the header; `undefined` if there is none that can be read. */
export function readRemaining(headers: HeaderRecord): number | undefined {
  const text = textOf(headers[DEADLINE_HEADER]);
  return text !== undefined && DURATION.test(text) ? Number(text) : undefined;
}

/**
 * The context that headers tell. Its deadline counts from now, on `clock`, since what they tell is the
 * time that is left.
 */
export function readContext(headers: HeaderRecord, clock: Clock = systemClock): AmbientContext {
  const remaining = readRemaining(headers);
  return {
    ...(remaining === undefined ? {} : { deadline: clock.now() + remaining, clock }),
    ...readMembers(textOf(headers[CONTEXT_HEADER])),
  };
}

function priorityMember(priority: number | undefined): string[] {
  if (priority === undefined || priority === 0 || !(Math.abs(priority) < 1e12)) return [];
  return [`priority=${Math.round(priority * 1_000) / 1_000}`];
}

function flagMember(name: string, flag: boolean | undefined): string[] {
  if (flag === undefined) return [];
  return [flag ? name : `${name}=?0`];
}

/** What the dictionary says; nothing if any of it is malformed. */
function readMembers(text: string | undefined): AmbientContext {
  if (text === undefined || text.length > MAX_LENGTH) return {};
  const found = new Map<string, string>();
  for (const member of text.split(',')) {
    const { key, value = '?1' } = MEMBER.exec(member.replace(/^[ \t]+|[ \t]+$/g, ''))?.groups ?? {};
    if (key === undefined) return {};
    found.set(key, value);
  }
  const priority = found.get('priority');
  const idempotent = found.get('idempotent');
  const retried = found.get('retried');
  if (priority !== undefined && !Number.isFinite(Number(priority))) return {};
  if (idempotent?.startsWith('?') === false || retried?.startsWith('?') === false) return {};
  return {
    ...(priority === undefined ? {} : { priority: Number(priority) }),
    ...(idempotent === undefined ? {} : { idempotent: idempotent === '?1' }),
    ...(retried === undefined ? {} : { retried: retried === '?1' }),
  };
}

/** A header's text, whatever holds it: Kafka has bytes, and each holder lists of what came twice. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array)
    return value.length > MAX_LENGTH ? undefined : Buffer.from(value).toString('latin1');
  return Array.isArray(value) && value.length === 1 ? textOf(value[0]) : undefined;
}
