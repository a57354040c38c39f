/**
 * The many ways to say `query`: text or config, values or not, callback or promise. Read once, so
 * that the rest of the adapter knows one form.
 */
import type { QueryConfig } from 'pg';
import { checkQueryResilience, type QueryResilience } from './options.js';

/** pg's callback. */
export type QueryCallback = (error: Error | null | undefined, result?: unknown) => void;

/** One query as its caller gave it. */
export interface QueryRequest {
  readonly text: string | QueryConfig;
  readonly values: unknown;
  readonly callback: QueryCallback | undefined;
  readonly resilience: QueryResilience;
}

/** What a query says of itself that says nothing. */
export const NOTHING: QueryResilience = Object.freeze({});

/** Reads the arguments of `query`; `undefined` for what pg is to handle by itself: a Submittable, or nothing that is a query. */
export function readRequest(
  first: unknown,
  second: unknown,
  third: unknown,
): QueryRequest | undefined {
  if (typeof first === 'string') {
    return {
      text: first,
      values: typeof second === 'function' ? undefined : second,
      callback: callbackOf(second, third),
      resilience: NOTHING,
    };
  }
  if (typeof first !== 'object' || first === null) return undefined;
  const config = first as QueryConfig & { submit?: unknown; callback?: unknown };
  if (typeof config.submit === 'function') return undefined;
  const { resilience } = config;
  return {
    text: config,
    values: typeof second === 'function' ? undefined : second,
    callback: callbackOf(second, third) ?? callbackOf(config.callback, undefined),
    resilience: resilience ?? NOTHING,
  };
}

/** The error in what a query says of itself; `undefined` if there is none. */
export function faultOf(request: QueryRequest): Error | undefined {
  if (request.resilience === NOTHING) return undefined;
  try {
    checkQueryResilience(request.resilience);
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

/** The text of a query, for finding out what it does to a transaction. */
export function textOf(request: QueryRequest): string {
  const text = typeof request.text === 'string' ? request.text : request.text.text;
  return typeof text === 'string' ? text : '';
}

/** Name of a prepared statement: the only part of a query that is fit for an event. */
export function nameOf(request: QueryRequest): string | undefined {
  return typeof request.text === 'string' ? undefined : request.text.name || undefined;
}

/**
 * What to hand to pg for one attempt. pg writes the callback into a config that it is given, so it
 * gets a copy; the copy reads what a class may have as getters.
 */
export function attemptConfig(request: QueryRequest): string | QueryConfig {
  if (typeof request.text === 'string') return request.text;
  const { text, values, name } = request.text;
  const copy: Record<string, unknown> = { ...request.text, text };
  if (values !== undefined) copy.values = values;
  if (name !== undefined) copy.name = name;
  delete copy.callback;
  return copy as unknown as QueryConfig;
}

/** Hands a promise's end to a callback, outside of the promise: what the callback throws is the caller's own uncaught exception, as with bare pg. */
export function deliver(promise: Promise<unknown>, callback: QueryCallback): void {
  promise.then(
    (result) => process.nextTick(callback, undefined, result),
    (error) => process.nextTick(callback, error),
  );
}

function callbackOf(second: unknown, third: unknown): QueryCallback | undefined {
  if (typeof second === 'function') return second as QueryCallback;
  return typeof third === 'function' ? (third as QueryCallback) : undefined;
}
