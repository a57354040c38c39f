/**
 * Several base URLs of one service: which requests may go to any of them, and which failures send a
 * request on to the next at once.
 */
import {
  type Call,
  type FailoverOptions,
  InvalidOptionError,
  type StandardFailoverOptions,
} from '@resil/core';
import type { AxiosDefaults, InternalAxiosRequestConfig } from 'axios';
import { wasUnreachable } from './classify.js';
import { isRelative } from './destination.js';

/** Base URLs that a service can be reached at, and how one of them is chosen. See `failover` in @resil/core. */
export interface BaseURLFailover
  extends Omit<
    FailoverOptions<string>,
    'layers' | 'moveOn' | 'classify' | 'clock' | 'random' | 'name'
  > {}

/** What requests to the endpoints are grouped by. */
export const FAILOVER_KEY = 'failover';

/** @throws `InvalidOptionError` for an endpoint that is no absolute URL. */
export function failoverOf({ endpoints, ...rest }: BaseURLFailover): StandardFailoverOptions {
  for (const [index, endpoint] of Array.isArray(endpoints) ? endpoints.entries() : []) {
    const url: unknown = typeof endpoint === 'object' ? endpoint?.target : endpoint;
    if (typeof url === 'string' && /^https?:\/\//i.test(url) && URL.canParse(url)) continue;
    throw new InvalidOptionError(
      `resilient.failover.endpoints[${index}]`,
      url,
      'must be an absolute http or https URL, or an object whose target is one',
    );
  }
  return { ...rest, endpoints, moveOn };
}

/** Whether a request may go to any of the endpoints: its URL is relative, and its base URL is nobody's in particular. */
export function mayGoAnywhere(
  config: InternalAxiosRequestConfig,
  defaults: Partial<AxiosDefaults>,
): boolean {
  const { baseURL, url = '', socketPath } = config;
  if (socketPath || (baseURL && baseURL !== defaults.baseURL)) return false;
  return isRelative(url) || config.allowAbsoluteUrls === false;
}

/** Nothing was sent, and the next can be sent the same. */
function moveOn(error: unknown, call: Call): boolean {
  return call.attributes.http?.replayable === true && wasUnreachable(error);
}
