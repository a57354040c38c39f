/** What the errors of handlers mean where the user says nothing: whose fault they are. */
import type { Classify } from '@resil/core';

/** Errors that code makes of what it was given. */
const OWN_FAULT = new Set(['RangeError', 'ReferenceError', 'SyntaxError', 'TypeError', 'URIError']);

/**
 * The default `classify` of handlers: an error is a failure of what the handler calls. A `TypeError`,
 * `RangeError`, `ReferenceError`, `SyntaxError` or `URIError` without a `cause` is the message's or the
 * handler's own fault: it is repeated too, but the breaker hears nothing of it. (With a `cause` it
 * may be `fetch`, whose failures are `TypeError`s.)
 */
export const classifyHandler: Classify = (outcome) => {
  if (outcome.ok) return 'success';
  const { name, cause } = (outcome.error ?? {}) as { readonly name?: unknown; cause?: unknown };
  const own = cause === undefined && OWN_FAULT.has(String(name));
  return { kind: own ? 'ignored' : 'failure', repeat: true };
};
