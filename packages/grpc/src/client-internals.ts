/**
 * Where a client of grpc-js keeps what it was made with. The members are under symbols that grpc-js
 * doesn't export; a client made for the purpose, with values that can be recognised, shows which symbol
 * is which. Only public options are used, and the class is the client's own, so that any copy and any
 * version of grpc-js will do; where it will not, `undefined` comes out and the client is refused.
 */
import type { Client, Interceptor, InterceptorProvider } from '@grpc/grpc-js';

/** Turns the parts of a call into others, before its interceptors are chosen. */
export type CallTransformer = (properties: CallProperties) => CallProperties;

/** The parts of a call that are looked at. */
export interface CallProperties {
  readonly methodDefinition: Parameters<InterceptorProvider>[0];
  readonly callOptions: {
    readonly interceptors?: Interceptor[];
    readonly interceptor_providers?: InterceptorProvider[];
  };
}

/** The symbols of a class of clients. */
export interface ClientSymbols {
  readonly interceptors: symbol;
  readonly providers: symbol;
  readonly transformer: symbol;
}

type ClientClass = new (target: string, credentials: unknown, options: object) => object;

const known = new WeakMap<ClientClass, ClientSymbols>();

/** The symbols of a client; `undefined` for what is not a client of grpc-js. */
export function symbolsOf(client: unknown): ClientSymbols | undefined {
  const base = baseOf(client);
  if (base === undefined) return undefined;
  let symbols = known.get(base);
  if (symbols === undefined) {
    symbols = findSymbols(base);
    if (symbols === undefined) return undefined;
    known.set(base, symbols);
  }
  return symbols.transformer in (client as object) ? symbols : undefined;
}

/** The class `Client` of the copy of grpc-js that a client comes from. */
function baseOf(client: unknown): ClientClass | undefined {
  if (typeof client !== 'object' || client === null) return undefined;
  for (let at = Object.getPrototypeOf(client); at !== null; at = Object.getPrototypeOf(at)) {
    if (Object.hasOwn(at, 'makeUnaryRequest')) {
      const base = at as Client;
      return typeof base.makeUnaryRequest === 'function' && typeof base.getChannel === 'function'
        ? (base.constructor as ClientClass)
        : undefined;
    }
  }
  return undefined;
}

function findSymbols(base: ClientClass): ClientSymbols | undefined {
  const mark = (): never => {
    throw new Error('never called');
  };
  const find = (options: object, matches: (value: unknown) => boolean): symbol | undefined => {
    // With a channel given none is made.
    const probe = new base('probe', undefined, { channelOverride: {}, ...options });
    return Object.getOwnPropertySymbols(probe).find((symbol) =>
      matches(Reflect.get(probe, symbol)),
    );
  };
  const isMarked = (value: unknown): boolean => Array.isArray(value) && value[0] === mark;
  try {
    const interceptors = find({ interceptors: [mark] }, isMarked);
    const providers = find({ interceptor_providers: [mark] }, isMarked);
    const transformer = find({ callInvocationTransformer: mark }, (value) => value === mark);
    if (interceptors === undefined || providers === undefined || transformer === undefined) {
      return undefined;
    }
    return { interceptors, providers, transformer };
  } catch {
    return undefined;
  }
}
