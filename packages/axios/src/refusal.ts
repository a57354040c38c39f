/**
 * Our own errors as axios users can handle them. Interceptors and error handlers read `error.config`
 * and ask `axios.isAxiosError(error)`, and would crash or take a refusal for a bug of their own. So a
 * `ResilienceError` that leaves the adapter is the same object with these added: it counts as an axios
 * error without a response, whose `code` begins with `RESIL_`.
 *
 * `config` is not enumerable and not in the JSON: it holds headers and bodies, and errors are logged.
 */
import type { ResilienceError } from '@resil/core';
import type { InternalAxiosRequestConfig } from 'axios';

/** The fields of one of our errors that are safe to show. */
export interface RefusalJson {
  readonly name: string;
  readonly message: string;
  readonly code: string;
  readonly strategy: string;
  readonly retryAfter: number | undefined;
}

/** Adds what axios users look for to `error`; the first request that it reaches counts. */
export function describeRefusal(
  error: ResilienceError,
  config: InternalAxiosRequestConfig,
): ResilienceError {
  if ((error as { isAxiosError?: unknown }).isAxiosError === true || !Object.isExtensible(error))
    return error;
  return Object.defineProperties(error, {
    isAxiosError: { value: true, configurable: true },
    config: { value: config, writable: true, configurable: true },
    toJSON: { value: toJson, configurable: true },
  });
}

function toJson(this: ResilienceError): RefusalJson {
  const { name, message, code, strategy, retryAfter } = this;
  return { name, message, code, strategy, retryAfter };
}
