/**
 * The seam for a client that exists: a view of it, with its own type, whose calls have one interceptor
 * more, outermost. The client itself is not changed.
 *
 * The view adds it where grpc-js puts a call together (`callInvocationTransformer`, a public option of
 * clients), with the interceptors that would have been in force: the call's own if it brings any, or
 * else the client's. So protection stays on whatever the call brings, and nothing of the client's is
 * lost.
 */
import type { Client, Interceptor, InterceptorProvider } from '@grpc/grpc-js';
import { InvalidOptionError } from '@resil/core';
import { channelAttempts } from './channel-attempts.js';
import {
  type CallProperties,
  type CallTransformer,
  type ClientSymbols,
  symbolsOf,
} from './client-internals.js';
import { HealthWatch } from './health.js';
import { declaredIdempotent } from './method.js';
import { checkResilientOptions, grpcDefaults, type ResilientOptions } from './options.js';
import { isOurs, Protection } from './protection.js';

/** Answered by every guarded client, also to a second copy of this package and to tools. */
const WRAPPED = '@resil/grpc/wrapped';

/** Clients that `resilient` gave. */
const views = new WeakSet<object>();

/**
 * Gives a protected view of `client`, with its own type: same methods, same overloads, same calls and
 * streams. With no options each service has the standard pipeline of `@resil/core`: total timeout,
 * retry with a budget, circuit breaker, bulkhead, attempt timeout.
 *
 * Give the client {@link channelOptions} when it is made: gRPC's own retries, its keepalive and its
 * reconnect can't be changed later.
 *
 * Calls end with the last attempt's own status; or, where a layer refused or cut a call short, with
 * UNAVAILABLE, RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED and the `ResilienceError` as `cause`.
 *
 * @throws `InvalidOptionError` for bad options, and for what is not a client of grpc-js or is guarded
 *   already.
 * @example
 * ```ts
 * import { Client, credentials } from '@grpc/grpc-js';
 * import { channelOptions, resilient } from '@resil/grpc';
 *
 * const client = resilient(
 *   new Client('localhost:50051', credentials.createInsecure(), channelOptions()),
 *   { idempotent: ['/shop.v1.Inventory/GetStock'] },
 * );
 * client.close();
 * ```
 */
export function resilient<C extends Client>(client: C, options: ResilientOptions = {}): C {
  const symbols = symbolsOf(client);
  if (symbols === undefined) {
    throw new InvalidOptionError(
      'resilient: client',
      client,
      'must be a client made by @grpc/grpc-js',
    );
  }
  if (views.has(client) || ofClient(client, symbols)[0].some(isOurs)) {
    throw new InvalidOptionError(
      'resilient: client',
      client,
      'must not be guarded already: attempts would multiply',
    );
  }
  checkResilientOptions(options);
  const { service } = client.constructor as { service?: unknown };
  const { health = grpcDefaults.health } = options;
  const watch =
    health === false ? undefined : new HealthWatch(client, health === true ? '' : health, options);
  const { health: _health, ...settings } = options;
  const target = client.getChannel().getTarget();
  const innerAttempts = channelAttempts(client);
  const dependency = {
    client: '@grpc/grpc-js',
    target,
    ...(innerAttempts !== undefined && { innerAttempts }),
    ...options.dependency,
  };
  const protection = new Protection(
    { ...settings, dependency },
    {
      target,
      declared: declaredIdempotent(service),
      ...(watch === undefined ? {} : { made: (breakers) => watch.add(breakers) }),
    },
  );
  watch?.start();
  return viewOf(client, symbols, protection, watch);
}

function viewOf<C extends Client>(
  client: C,
  symbols: ClientSymbols,
  protection: Protection,
  watch: HealthWatch | undefined,
): C {
  const { interceptor } = protection;
  const former = Reflect.get(client, symbols.transformer) as CallTransformer | undefined;
  // Of a client without providers they are the same for every call that brings none of its own.
  const [plain, made] = ofClient(client, symbols);
  const usual = made.length === 0 ? [interceptor, ...plain] : undefined;
  const transformer: CallTransformer = (given) => {
    const properties = former === undefined ? given : former(given);
    const { callOptions } = properties;
    if (usual !== undefined && !bringsOwn(callOptions)) {
      return { ...properties, callOptions: { ...callOptions, interceptors: usual } };
    }
    const inForce = inForceFor(client, symbols, properties);
    if (inForce === undefined || inForce.some(isOurs)) return properties;
    const { interceptor_providers: _providers, ...rest } = callOptions;
    return { ...properties, callOptions: { ...rest, interceptors: [interceptor, ...inForce] } };
  };
  const close = (): void => {
    watch?.stop();
    protection.close();
    client.close();
  };
  const view = new Proxy(client, {
    get(target, name) {
      if (name === WRAPPED) return true;
      if (name === symbols.transformer) return transformer;
      if (name === 'close') return close;
      return Reflect.get(target, name);
    },
  });
  views.add(view);
  return view;
}

/** The interceptors that grpc-js would use; `undefined` where it is about to refuse what it was given. */
function inForceFor(
  client: Client,
  symbols: ClientSymbols,
  { callOptions, methodDefinition }: CallProperties,
): readonly Interceptor[] | undefined {
  const { interceptors = [], interceptor_providers: providers = [] } = callOptions;
  if (interceptors.length > 0 && providers.length > 0) return undefined;
  const [plain, made] = bringsOwn(callOptions)
    ? [interceptors, providers]
    : ofClient(client, symbols);
  return [...plain, ...made.map((provider) => provider(methodDefinition))].filter(
    (interceptor) => interceptor,
  );
}

/** Whether a call has interceptors, which then replace the client's. */
function bringsOwn({
  interceptors,
  interceptor_providers,
}: CallProperties['callOptions']): boolean {
  return (interceptors?.length ?? 0) > 0 || (interceptor_providers?.length ?? 0) > 0;
}

/** What a client was made with. */
function ofClient(
  client: Client,
  symbols: ClientSymbols,
): readonly [readonly Interceptor[], readonly InterceptorProvider[]] {
  return [
    Reflect.get(client, symbols.interceptors) as readonly Interceptor[],
    Reflect.get(client, symbols.providers) as readonly InterceptorProvider[],
  ];
}
