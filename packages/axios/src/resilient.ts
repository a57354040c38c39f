/**
 * The seam: a protected view of an axios instance. Requests go through the instance as before, with
 * the transport adapter wrapped, so interceptors and transforms run once per call whatever is repeated
 * underneath.
 *
 * ```
 *   api.get(url) -> request interceptors -> transformRequest
 *                     -> [pipeline of the origin -> transport adapter] * attempts
 *                -> transformResponse -> response interceptors
 * ```
 *
 * The instance given is not changed: `defaults` and `interceptors` are shared with it, its own methods
 * stay unprotected.
 */
import {
  type Dependency,
  InvalidOptionError,
  Keyed,
  type Pipeline,
  pipeline,
  standard,
  standardDefaults,
  systemClock,
  unregister,
} from '@resil/core';
import type {
  Axios,
  AxiosAdapter,
  AxiosInstance,
  AxiosRequestConfig,
  AxiosResponse,
  CreateAxiosDefaults,
  InternalAxiosRequestConfig,
} from 'axios';
import { settleDoubleRetry } from './axios-retry.js';
import { createClassify } from './classify.js';
import { systemWallClock } from './clock.js';
import { destinationOf, originOfBase } from './destination.js';
import { Exchange, type ExchangeSettings } from './exchange.js';
import { FAILOVER_KEY, failoverOf, mayGoAnywhere } from './failover.js';
import { type AxiosHost, hostOf } from './host.js';
import { LongRequests } from './long-requests.js';
import {
  checkRequestResilience,
  checkResilientOptions,
  type ResilientOptions,
  resilientDefaults,
  standardOptionsFor,
} from './options.js';

/** Answered by every protected view, also to a second copy of this package and to tools. */
const WRAPPED = '@resil/axios/wrapped';

/** Adapters that are protected, so that one is never wrapped again: attempts would multiply. */
const protectedAdapters = new WeakSet<AxiosAdapter>();
/** Instances that `resilient` gave. */
const protectedInstances = new WeakSet<object>();

/**
 * Gives a protected view of `instance`, with its own type: same methods, defaults and interceptors.
 * With no options each origin has the standard pipeline of `@resil/core`: total timeout, retry with a
 * budget, circuit breaker, bulkhead, attempt timeout.
 *
 * Requests reject as axios does, with the last attempt's own error; or, where a layer refused or cut
 * the call short, with a `ResilienceError` that carries `config` and passes `axios.isAxiosError`. A
 * caller's abort rejects with a `CanceledError` whose `cause` is the signal's reason.
 *
 * A request's own `adapter` is protected too, and so are instances that `create` makes from the view;
 * an adapter that a request interceptor puts in its place is not. A view can't be wrapped again.
 *
 * @throws `InvalidOptionError` for bad options, and for what is not an axios instance or is wrapped
 *   already.
 * @example
 * ```ts
 * import { resilient } from '@resil/axios';
 * import axios from 'axios';
 *
 * const api = resilient(axios.create({ baseURL: 'https://api.example.com' }));
 * // api.get('/users') is now repeated, limited and cut short as needed.
 * ```
 */
export function resilient<Instance extends Axios>(
  instance: Instance,
  options: ResilientOptions = {},
): Instance {
  if (!isAxios(instance))
    throw new InvalidOptionError('resilient: instance', instance, 'must be an axios instance');
  if (protectedInstances.has(instance)) {
    throw new InvalidOptionError(
      'resilient: instance',
      instance,
      'must not be wrapped already: attempts would multiply',
    );
  }
  checkResilientOptions(options);
  const own = { ...options, dependency: dependencyOf(instance.defaults, options.dependency) };
  return protectedView(instance, new Protection(hostOf(instance), own, instance.defaults));
}

/** The pipelines of one `resilient`, and how a request goes through them. Shared by all requests. */
class Protection {
  readonly host: AxiosHost;
  readonly #pipelines: Keyed;
  readonly #longRequests: LongRequests | undefined;
  /** Pipelines of the requests that may go to any of several base URLs; `undefined` without such. */
  readonly #anywhere: Keyed | undefined;
  readonly #instanceDefaults: Axios['defaults'];
  readonly #keyOf: (config: InternalAxiosRequestConfig) => string;
  readonly #settings: ExchangeSettings;
  readonly #wrapped = new WeakMap<object, AxiosAdapter>();
  readonly #wrappedByName = new Map<unknown, AxiosAdapter>();

  constructor(host: AxiosHost, options: ResilientOptions, instanceDefaults: Axios['defaults']) {
    this.host = host;
    this.#keyOf = options.key ?? destinationOf;
    const { deadlineHeader, sendContext = resilientDefaults.sendContext } = options;
    this.#settings = { host, deadlineHeader, sendContext };
    const { name = resilientDefaults.name, dependency, maxKeys, idleTimeout, clock } = options;
    const keyedOptions = { name, dependency, maxKeys, idleTimeout, clock };
    const {
      pipeline: made,
      longRequests,
      anywhere,
    } = options.pipeline === undefined
      ? standardPipelines(options, instanceDefaults)
      : { pipeline: options.pipeline, longRequests: undefined, anywhere: undefined };
    this.#pipelines = new Keyed(made, keyedOptions);
    this.#longRequests = longRequests;
    this.#anywhere = anywhere && new Keyed(anywhere, keyedOptions);
    this.#instanceDefaults = instanceDefaults;
  }

  /** The adapter, or what names it in a config, with protection around it. */
  adapter(spec: AxiosRequestConfig['adapter']): AxiosAdapter {
    if (typeof spec === 'function' && protectedAdapters.has(spec)) return spec;
    const known =
      typeof spec === 'object' || typeof spec === 'function'
        ? this.#wrapped.get(spec)
        : this.#wrappedByName.get(spec);
    if (known !== undefined) return known;
    const wrapped: AxiosAdapter = (config) => this.#run(config, spec);
    protectedAdapters.add(wrapped);
    if (typeof spec === 'object' || typeof spec === 'function') this.#wrapped.set(spec, wrapped);
    else this.#wrappedByName.set(spec, wrapped);
    return wrapped;
  }

  /** A key of the user's own making stands; one by destination would be that of no endpoint. */
  #keyAnywhere(config: InternalAxiosRequestConfig): string {
    return this.#keyOf === destinationOf ? FAILOVER_KEY : this.#keyOf(config);
  }

  #pipelineOf(key: string, requestTimeout: number | undefined): Pipeline {
    const usual = this.#pipelines.for(key);
    return this.#longRequests?.pipelineFor(usual, key, requestTimeout) ?? usual;
  }

  #run(
    config: InternalAxiosRequestConfig,
    spec: AxiosRequestConfig['adapter'],
  ): Promise<AxiosResponse> {
    let exchange: Exchange;
    let chosen: Pipeline;
    try {
      const { resilience } = config;
      if (resilience !== undefined) checkRequestResilience(resilience);
      settleDoubleRetry(config);
      const anywhere = mayGoAnywhere(config, this.#instanceDefaults) ? this.#anywhere : undefined;
      const key =
        resilience?.key ??
        (anywhere === undefined ? this.#keyOf(config) : this.#keyAnywhere(config));
      chosen = resilience?.pipeline ?? anywhere?.for(key) ?? this.#pipelineOf(key, config.timeout);
      const adapter = this.host.getAdapter(spec as never, config);
      exchange = new Exchange(config, key, adapter, this.#settings);
    } catch (error) {
      return Promise.reject(error);
    }
    return chosen
      .execute((call) => exchange.send(call), exchange)
      .then(
        (value) => exchange.succeeded(value),
        (error) => {
          throw exchange.failed(error);
        },
      );
  }
}

/** Makes pipelines of keys, and gives way to requests that need longer. */
interface PipelineSource {
  readonly pipeline: (key: string) => Pipeline;
  readonly longRequests: LongRequests | undefined;
  /** Those of requests that may go to any of several base URLs. */
  readonly anywhere: ((key: string) => Pipeline) | undefined;
}

function standardPipelines(
  options: ResilientOptions,
  instanceDefaults: Axios['defaults'],
): PipelineSource {
  const classify = options.classify ?? createClassify(options.wallClock ?? systemWallClock);
  const settings = { ...standardOptionsFor(options, instanceDefaults), classify };
  const { name, clock = systemClock, attemptTimeout = standardDefaults.attemptTimeout } = settings;
  // Parts that contradict each other are refused now, not when the first request is sent.
  unregister(standard(settings));
  const failover = options.failover && failoverOf(options.failover);
  if (failover !== undefined) unregister(standard({ ...settings, failover }));
  const limited = options.attemptTimeout === undefined && attemptTimeout !== false;
  return {
    pipeline: (key) => standard({ ...settings, key }),
    anywhere: failover && ((key) => standard({ ...settings, key, failover })),
    longRequests: limited
      ? new LongRequests(attemptTimeout, options.totalTimeout || Infinity, (key, layers) =>
          unregister(pipeline({ name, key, classify, clock }, ...layers)),
        )
      : undefined,
  };
}

/** `instance` as it looks from outside, with what sends requests protected. */
function protectedView<Instance extends Axios>(
  instance: Instance,
  protection: Protection,
): Instance {
  const methods =
    typeof instance === 'function'
      ? protectedMethods(instance, protection)
      : protectedRequest(instance, protection);
  const originals = new Map(
    Object.keys(methods).map((name) => [name, Reflect.get(instance, name)]),
  );
  const view = new Proxy(instance, {
    apply: (_target, _this, args: Parameters<Axios['request']>) => methods.request?.(...args),
    get(target, name) {
      if (name === WRAPPED) return true;
      const value = Reflect.get(target, name);
      // A method that the user has replaced since, by a spy for example, is the user's.
      return typeof name === 'string' &&
        Object.hasOwn(methods, name) &&
        originals.get(name) === value
        ? methods[name]
        : value;
    },
  });
  protectedInstances.add(view);
  return view;
}

// biome-ignore lint/suspicious/noExplicitAny: methods of any parameters, passed on as they are
type Methods = Record<string, (...args: any[]) => unknown> & {
  request: (...args: unknown[]) => unknown;
};

/** For an instance of the `Axios` class: its methods call `request` on the view by themselves. */
function protectedRequest(instance: Axios, protection: Protection): Methods {
  return {
    request: (configOrUrl: unknown, config?: unknown) => {
      const byUrl = typeof configOrUrl === 'string';
      const given = (byUrl ? config : configOrUrl) as AxiosRequestConfig | undefined;
      const own: AxiosRequestConfig = byUrl ? { ...given, url: configOrUrl } : { ...given };
      own.adapter = protection.adapter(own.adapter || adapterOf(instance, protection));
      return instance.request(own);
    },
  };
}

/**
 * For an instance made by `axios.create`, whose methods are bound and can't be told apart by looking:
 * the methods of the class, on an object whose `request` is protected. New ones come by themselves.
 */
function protectedMethods(instance: Axios, protection: Protection): Methods {
  const { prototype } = protection.host.Axios;
  const { defaults, interceptors } = instance;
  const context = Object.assign(Object.create(prototype), {
    defaults,
    interceptors,
    // The methods make a config of their own for each request, so that it needs no copy.
    request: (config: AxiosRequestConfig) => {
      config.adapter = protection.adapter(config.adapter || adapterOf(instance, protection));
      return instance.request(config);
    },
  });
  const methods = protectedRequest(instance, protection);
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const method = context[name];
    if (typeof method !== 'function' || NOT_SENDING.test(name)) continue;
    methods[name] = method.bind(context);
  }
  const { create } = instance as AxiosInstance;
  if (typeof create === 'function') {
    methods.create = (config?: CreateAxiosDefaults) =>
      protectedView(create.call(instance, config), protection);
  }
  return methods;
}

/** As axios chooses where a request names none. */
function adapterOf(instance: Axios, protection: Protection): AxiosRequestConfig['adapter'] {
  return instance.defaults.adapter || protection.host.defaults.adapter;
}

/** Members of the class that send nothing, and `request`, which is protected by itself. */
const NOT_SENDING = /^(_.*|constructor|request|getUri)$/;

/** What an instance stands before. axios repeats nothing by itself, and axios-retry is made to repeat nothing. */
function dependencyOf(defaults: Axios['defaults'], own: Dependency | undefined): Dependency {
  const target = originOfBase(defaults.baseURL);
  return { client: 'axios', innerAttempts: 1, ...(target !== undefined && { target }), ...own };
}

function isAxios(value: unknown): value is Axios {
  if (typeof value !== 'function' && (typeof value !== 'object' || value === null)) return false;
  const { request, defaults, interceptors } = value as Partial<Axios>;
  return (
    typeof request === 'function' &&
    typeof defaults === 'object' &&
    typeof interceptors?.request?.use === 'function' &&
    typeof interceptors.response?.use === 'function'
  );
}
