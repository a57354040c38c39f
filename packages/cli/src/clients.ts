/**
 * Tells clients by their shape, as each of our adapters does: the copy of the library that made one may
 * not be ours, or there may be none of ours at all. Nothing is called and no connection made.
 */

/** What a value is, if it is a client. */
export interface ClientFacts {
  readonly library: string;
  readonly protected: boolean;
  readonly target: string | null;
  readonly attempts: number | null;
  readonly repeatedBy: string | null;
}

type Shape = Record<PropertyKey, unknown>;
type Recognise = (value: Shape) => ClientFacts | undefined;

const unknownFacts = { target: null, attempts: null, repeatedBy: null } as const;

/** What `value` is a client of; `undefined` for anything else. */
export function recogniseClient(value: object): ClientFacts | undefined {
  for (const recognise of KINDS) {
    try {
      const facts = recognise(value as Shape);
      if (facts !== undefined) return facts;
    } catch {
      // A value that throws when it is looked at is no client that we know.
    }
  }
  return undefined;
}

/** axios-retry registers interceptors and leaves no other trace until a request is sent. */
const AXIOS_RETRY = /setCurrentState|axios-retry/;
/** Attempts that axios-retry makes where nothing is configured. */
const AXIOS_RETRY_ATTEMPTS = 4;

const axios: Recognise = (value) => {
  const { request, defaults, interceptors } = value as {
    request?: unknown;
    defaults?: { baseURL?: unknown };
    interceptors?: { request?: AxiosInterceptors; response?: AxiosInterceptors };
  };
  if (typeof request !== 'function' || typeof defaults !== 'object') return undefined;
  if (typeof interceptors?.request?.use !== 'function') return undefined;
  const retries = [interceptors.request, interceptors.response].some(
    (manager) =>
      manager?.handlers?.some((handler) => AXIOS_RETRY.test(String(handler?.fulfilled))) === true,
  );
  const baseURL = String(defaults.baseURL ?? '');
  return {
    library: 'axios',
    protected: value['@resil/axios/wrapped'] === true,
    target: URL.canParse(baseURL) ? new URL(baseURL).origin : null,
    attempts: retries ? AXIOS_RETRY_ATTEMPTS : 1,
    repeatedBy: retries ? 'axios-retry' : null,
  };
};

interface AxiosInterceptors {
  readonly use?: unknown;
  readonly handlers?: readonly ({ readonly fulfilled?: unknown } | null)[];
}

const pgPool: Recognise = (value) => {
  const { connect, query, totalCount, options } = value;
  const pool = typeof totalCount === 'number' && typeof options === 'object';
  const client = 'connectionParameters' in value;
  if (typeof connect !== 'function' || typeof query !== 'function' || !(pool || client)) {
    return undefined;
  }
  const { host, port, database } = (pool ? options : value) as Shape;
  const known = typeof host === 'string' && typeof database === 'string';
  return {
    library: 'pg',
    protected: value['@resil/pg/wrapped'] === true,
    target: known ? `${host}:${port ?? 5432}/${database}` : null,
    attempts: 1,
    repeatedBy: null,
  };
};

const grpc: Recognise = (value) => {
  const { makeUnaryRequest, getChannel } = value;
  if (typeof makeUnaryRequest !== 'function' || typeof getChannel !== 'function') return undefined;
  const channel = getChannel.call(value) as {
    getTarget(): string;
    internalChannel?: { options?: Shape };
  };
  const options = channel.internalChannel?.options;
  const attempts = options === undefined ? null : channelAttempts(options);
  return {
    library: '@grpc/grpc-js',
    protected: value['@resil/grpc/wrapped'] === true,
    target: channel.getTarget(),
    attempts,
    repeatedBy: attempts !== null && attempts > 1 ? 'the service config of its channel' : null,
  };
};

/** As `@resil/grpc` tells it: what the retry policies of a service config ask for, five at most. */
function channelAttempts(options: Shape): number | null {
  if (options['grpc.enable_retries'] === 0) return 1;
  const config = options['grpc.service_config'];
  if (typeof config !== 'string') {
    return options['grpc.service_config_disable_resolution'] === 1 ? 1 : null;
  }
  const { methodConfig } = JSON.parse(config) as { methodConfig?: readonly Shape[] };
  const asked = (methodConfig ?? []).map(({ retryPolicy, hedgingPolicy }) => {
    const policy = (retryPolicy ?? hedgingPolicy) as { maxAttempts?: number } | undefined;
    return policy?.maxAttempts ?? 1;
  });
  const limit = Number(options['grpc-node.retry_max_attempts_limit'] ?? 5);
  return Math.min(limit, Math.max(1, ...asked));
}

/** kafkajs' own number of retries where none is configured. */
const KAFKAJS_RETRIES = 5;

const kafka: Recognise = (value) => {
  const { producer, consumer, admin } = value;
  const functions = [producer, consumer, admin].every((one) => typeof one === 'function');
  if (!functions || typeof value.logger !== 'function') return undefined;
  const symbol = Object.getOwnPropertySymbols(value).find(({ description }) =>
    description?.endsWith('clusterRetry'),
  );
  const retry = symbol === undefined ? undefined : (value[symbol] as { retries?: number });
  const attempts = 1 + (retry?.retries ?? KAFKAJS_RETRIES);
  return {
    library: 'kafkajs',
    protected: value['@resil/kafkajs/wrapped'] === true,
    target: null,
    attempts,
    repeatedBy: attempts > 1 ? 'kafkajs itself' : null,
  };
};

const kafkaProducer: Recognise = (value) => {
  const { send, sendBatch, isIdempotent } = value;
  const functions = [send, sendBatch, isIdempotent].every((one) => typeof one === 'function');
  if (!functions) return undefined;
  const wrapped = value[Symbol.for('@resil/kafkajs/producer')] !== undefined;
  return { ...unknownFacts, library: 'kafkajs', protected: wrapped };
};

const redis: Recognise = (value) => {
  const { set, get, duplicate, multi, connect } = value;
  const functions = [set, get, duplicate, multi, connect];
  if (!functions.every((one) => typeof one === 'function')) return undefined;
  const library = typeof value.defineCommand === 'function' ? 'ioredis' : 'redis';
  return { ...unknownFacts, library, protected: false };
};

const mongo: Recognise = (value) => {
  const { db, startSession, connect } = value;
  const functions = [db, startSession, connect].every((one) => typeof one === 'function');
  if (!functions) return undefined;
  return { ...unknownFacts, library: 'mongodb', protected: false };
};

const mysql: Recognise = (value) => {
  const functions = [value.query, value.execute, value.getConnection];
  if (!functions.every((one) => typeof one === 'function')) return undefined;
  return { ...unknownFacts, library: 'mysql2', protected: false };
};

const undici: Recognise = (value) => {
  const { dispatch, request, close, destroy } = value;
  const functions = [dispatch, request, close, destroy].every((one) => typeof one === 'function');
  if (!functions) return undefined;
  return { ...unknownFacts, library: 'undici', protected: false };
};

/** Generated SDKs: a number of retries beside what sends. */
const sdk: Recognise = (value) => {
  const { maxRetries } = value;
  const sends = ['request', 'send', 'fetch', 'post'].some(
    (name) => typeof value[name] === 'function',
  );
  if (typeof maxRetries !== 'number' || !sends) return undefined;
  const library = value.constructor?.name ?? 'an SDK';
  return {
    library,
    protected: false,
    target: null,
    attempts: 1 + maxRetries,
    repeatedBy: maxRetries > 0 ? `${library} itself (maxRetries)` : null,
  };
};

/** The AWS SDK for JavaScript, version 3. How often it tries is told by a function alone; three by default. */
const aws: Recognise = (value) => {
  const { send, middlewareStack, config } = value;
  if (typeof send !== 'function' || typeof middlewareStack !== 'object') return undefined;
  if (typeof config !== 'object' || config === null) return undefined;
  return {
    library: value.constructor?.name ?? 'aws-sdk',
    protected: false,
    target: null,
    attempts: 'maxAttempts' in config || 'retryStrategy' in config ? 3 : null,
    repeatedBy: 'the AWS SDK itself (maxAttempts)',
  };
};

const got: Recognise = (value) => {
  const { extend, stream, defaults } = value;
  if (typeof extend !== 'function' || typeof stream !== 'function') return undefined;
  const options = (defaults as { options?: { retry?: { limit?: unknown } } } | undefined)?.options;
  const limit = options?.retry?.limit;
  if (typeof limit !== 'number') return undefined;
  return {
    library: 'got',
    protected: false,
    target: null,
    attempts: 1 + limit,
    repeatedBy: limit > 0 ? 'got itself' : null,
  };
};

const KINDS: readonly Recognise[] = [
  axios,
  grpc,
  kafka,
  kafkaProducer,
  pgPool,
  got,
  aws,
  mongo,
  mysql,
  redis,
  undici,
  sdk,
];
