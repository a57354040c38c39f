/** Options of the adapter and of single requests. */
import {
  booleanRule,
  checkOptions,
  countRule,
  functionRule,
  InvalidOptionError,
  keyedDefaults,
  nameRule,
  type OptionRules,
  objectRule,
  type Pipeline,
  positiveDurationRule,
  type StandardOptions,
  standardDefaults,
  standardRules,
} from '@resil/core';
import type { AxiosDefaults, InternalAxiosRequestConfig } from 'axios';
import type { WallClock } from './clock.js';
import { type BaseURLFailover, failoverOf } from './failover.js';
import { limitOf } from './long-requests.js';

declare module 'axios' {
  // The type parameters repeat those of axios 1.19 and later; before, there was only the first, which fits too.
  // biome-ignore lint/suspicious/noExplicitAny: as axios declares it
  interface AxiosRequestConfig<D = any, P = any> {
    /** What `@resil/axios` is to know about this one request. An instance that is not wrapped ignores it. */
    resilience?: RequestResilience | undefined;
  }
}

/** What one request may say about itself, under `resilience` in its config. */
export interface RequestResilience {
  /**
   * Whether carrying the request out twice does no harm.
   *
   * Default: `true` for GET, HEAD, OPTIONS, PUT, DELETE, TRACE and QUERY, and for a request with an
   * `Idempotency-Key` header; `false` otherwise.
   */
  readonly idempotent?: boolean | undefined;
  /** When the call must have settled, on the scale of `performance.now()` (or of the given `clock`). Default: none. */
  readonly deadline?: number | undefined;
  /** Aborts the call, waiting included. The config's own `signal` does the same. */
  readonly signal?: AbortSignal | undefined;
  /** Importance, higher first; read by layers that choose between calls. Default: 0. */
  readonly priority?: number | undefined;
  /** Keeps this request's breaker, bulkhead and budget apart. Default: the origin it is sent to. */
  readonly key?: string | undefined;
  /** Name of the operation, for events: a route with its parameters left open. Default: the method. */
  readonly name?: string | undefined;
  /** Replaces the instance's pipeline for this request. */
  readonly pipeline?: Pipeline | undefined;
  /**
   * Makes the body anew for each attempt, so that a request with a stream can be repeated. Asked for
   * the first attempt only if the request has no `data`; what it gives is sent as it is.
   */
  readonly body?: (() => unknown) | undefined;
}

/** Options of `resilient`: those of the standard pipeline, part by part, and what belongs to HTTP. */
export interface ResilientOptions extends Omit<StandardOptions, 'key'> {
  /** Name in errors and events. @defaultValue `resilientDefaults.name` ('axios') */
  readonly name?: string | undefined;
  /**
   * Milliseconds for each attempt, body included; `false` for no limit of ours.
   *
   * axios' own `timeout` goes on working and usually comes first, but it measures the time without
   * activity: a body that trickles never reaches it.
   *
   * Where none is given, a request whose own `timeout` is longer gets the time that it asks for.
   *
   * @defaultValue 3,000, or a little more than the request's own `timeout` if that is longer
   */
  readonly attemptTimeout?: number | false | undefined;
  /**
   * Milliseconds for the whole call, retries and waiting included; `false` for no limit.
   *
   * @defaultValue 10,000, or `attemptTimeout` if that is longer
   */
  readonly totalTimeout?: number | false | undefined;
  /** What a request's breaker, bulkhead and budget are kept by. Default: the origin it is sent to. */
  readonly key?: ((config: InternalAxiosRequestConfig) => string) | undefined;
  /**
   * Several base URLs of the same service, in place of `baseURL`: requests with a relative URL go to
   * one of them, repeated ones to another. Each has a breaker, a bulkhead and an attempt timeout of its
   * own. A string is a base URL; an object may add `priority` and `weight`. Default: none.
   */
  readonly failover?: BaseURLFailover | undefined;
  /** Makes the pipeline of a key, instead of the standard one; the options of the standard pipeline are then refused. */
  readonly pipeline?: ((key: string) => Pipeline) | undefined;
  /**
   * Name of a request header that tells the server how many milliseconds it has left, whole and
   * rounded down, so that it can drop work nobody waits for. Default: none is sent.
   */
  readonly deadlineHeader?: string | undefined;
  /**
   * Whether the server is told what it works for, where there is an ambient context, such as that of
   * `@resil/context`: the headers `resil-deadline` and `resil-context`. Say `false` for servers of others.
   *
   * @defaultValue `resilientDefaults.sendContext` (true)
   */
  readonly sendContext?: boolean | undefined;
  /** Keys kept at most. @defaultValue 10,000 */
  readonly maxKeys?: number | undefined;
  /** Milliseconds without use after which a key is forgotten. @defaultValue 600,000 */
  readonly idleTimeout?: number | undefined;
  /** Wall time for HTTP dates in answers that carry no `Date` of their own. Default: `Date.now`. */
  readonly wallClock?: WallClock | undefined;
}

/** Defaults of `resilient`, beside `standardDefaults` of `@resil/core`. */
export const resilientDefaults: {
  readonly name: string;
  readonly sendContext: boolean;
  readonly maxKeys: number;
  readonly idleTimeout: number;
} = Object.freeze({
  name: 'axios',
  sendContext: true,
  maxKeys: keyedDefaults.maxKeys,
  idleTimeout: keyedDefaults.idleTimeout,
});

const pipelineRule = objectRule('a Pipeline', (value) => typeof value.execute === 'function');
const signalRule = objectRule(
  'an AbortSignal',
  (value) => typeof value.addEventListener === 'function',
);

/** Options that only the standard pipeline reads; its `key` is ours to give. */
const { key: _ownKey, ...partRules } = standardRules;

const optionRules: OptionRules<ResilientOptions> = {
  ...partRules,
  key: functionRule,
  failover: objectRule('an object with endpoints'),
  pipeline: functionRule,
  deadlineHeader: {
    test: (value) => typeof value === 'string' && /^[!#$%&'*+.^_`|~\w-]+$/.test(value),
    text: 'the name of a header',
  },
  sendContext: booleanRule,
  maxKeys: countRule(1),
  idleTimeout: positiveDurationRule(true),
  wallClock: functionRule,
};

const requestRules: OptionRules<RequestResilience> = {
  idempotent: booleanRule,
  deadline: {
    test: (value) => typeof value === 'number' && !Number.isNaN(value),
    text: 'a point in time, in milliseconds',
  },
  signal: signalRule,
  priority: {
    test: (value) => typeof value === 'number' && !Number.isNaN(value),
    text: 'a number',
  },
  key: nameRule,
  name: nameRule,
  pipeline: pipelineRule,
  body: functionRule,
};

/**
 * @throws `InvalidOptionError` for an unknown or bad option, and for parts of the standard pipeline
 *   beside a `pipeline` that replaces it.
 */
export function checkResilientOptions(options: ResilientOptions): void {
  checkOptions('resilient', options, optionRules);
  if (options.failover !== undefined) failoverOf(options.failover);
  if (options.pipeline === undefined) return;
  const parts = [...(Object.keys(partRules) as Array<keyof typeof partRules>), 'failover'] as const;
  for (const name of parts) {
    if (options[name] !== undefined && name !== 'dependency') {
      throw new InvalidOptionError(
        `resilient.${name}`,
        options[name],
        'must be left out where pipeline is given',
      );
    }
  }
}

/** @throws `InvalidOptionError` */
export function checkRequestResilience(resilience: RequestResilience): void {
  checkOptions('resilience', resilience, requestRules);
}

/**
 * The options of the standard pipeline for an instance: an attempt may take what the instance itself
 * allows a request, where that is longer than usual and no limit is given.
 */
export function standardOptionsFor(
  options: ResilientOptions,
  instanceDefaults: Partial<AxiosDefaults>,
): StandardOptions {
  const {
    key: _key,
    failover: _failover,
    pipeline: _pipeline,
    deadlineHeader: _deadlineHeader,
    sendContext: _sendContext,
    maxKeys: _maxKeys,
    idleTimeout: _idleTimeout,
    wallClock: _wallClock,
    ...own
  } = options;
  const name = own.name ?? resilientDefaults.name;
  const ownTimeout = limitOf(instanceDefaults.timeout);
  if (own.attemptTimeout !== undefined || ownTimeout <= standardDefaults.attemptTimeout) {
    return { ...own, name };
  }
  return { ...own, name, attemptTimeout: Math.min(ownTimeout, own.totalTimeout || Infinity) };
}
