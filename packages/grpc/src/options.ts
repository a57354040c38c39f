/** Options of the adapter and of single calls. */
import {
  booleanRule,
  checkOptions,
  countRule,
  eitherRule,
  functionRule,
  InvalidOptionError,
  keyedDefaults,
  nameRule,
  type OptionRules,
  objectRule,
  oneOfRule,
  type Pipeline,
  positiveDurationRule,
  type StandardOptions,
  standardRules,
} from '@resil/core';
import type { GrpcMethod } from './method.js';

declare module '@grpc/grpc-js/build/src/client.js' {
  interface CallOptions {
    /** What `@resil/grpc` is to know about this one call. A client that is not guarded ignores it. */
    resilience?: CallResilience | undefined;
  }
}

/** What one call may say about itself, under `resilience` in its call options. */
export interface CallResilience {
  /**
   * Whether carrying the call out twice does no harm.
   *
   * Default: what the option `idempotent` says of the method.
   */
  readonly idempotent?: boolean | undefined;
  /** When the call must have ended, on the scale of `performance.now()` (or of the given `clock`). gRPC's own `deadline` does the same in wall time; the earlier counts. */
  readonly deadline?: number | undefined;
  /** Cancels the call, waiting included. `call.cancel()` does the same. */
  readonly signal?: AbortSignal | undefined;
  /** Importance, higher first; read by layers that choose between calls. Default: 0. */
  readonly priority?: number | undefined;
  /** Keeps this call's breaker, bulkhead and budget apart. Default: by the option `key`. */
  readonly key?: string | undefined;
  /** Name of the operation, for events. Default: service and method, `shop.v1.Inventory/GetStock`. */
  readonly name?: string | undefined;
  /** Replaces the pipeline for this call. */
  readonly pipeline?: Pipeline | undefined;
}

/** What breakers, bulkheads and budgets are kept by. */
export type GrpcKey = 'service' | 'method' | 'target' | ((method: GrpcMethod) => string);

/** Options of `interceptor`: those of the standard pipeline, part by part, and what belongs to gRPC. */
export interface InterceptorSettings extends Omit<StandardOptions, 'key'> {
  /** Name in errors and events. @defaultValue `grpcDefaults.name` ('grpc') */
  readonly name?: string | undefined;
  /**
   * What breakers, bulkheads and budgets are kept by: one for each `'service'`, for each `'method'`, or
   * one for the whole `'target'` of the client; or a function that gives the key.
   *
   * @defaultValue `grpcDefaults.key` ('service')
   */
  readonly key?: GrpcKey | undefined;
  /**
   * Methods that do no harm when they run twice: their paths (`/shop.v1.Inventory/GetStock`), a
   * function, or `true` for all. Others are repeated only when they certainly never reached the server.
   *
   * Default: those whose `.proto` says `idempotency_level`, where the client can know (`resilient`
   * with a proto-loader client); otherwise none.
   */
  readonly idempotent?: readonly string[] | ((method: GrpcMethod) => boolean) | boolean | undefined;
  /**
   * Milliseconds that a stream may live; `false` for no limit. Not read for unary calls.
   *
   * Timeouts of the pipeline hold for a server stream until its first message, and not at all for
   * streams of the client's; this and the call's own deadline hold to the end.
   *
   * @defaultValue `grpcDefaults.streamTimeout` (false)
   */
  readonly streamTimeout?: number | false | undefined;
  /**
   * Whether the server is told what it works for, where there is an ambient context, such as that of
   * `@resil/context`: in the metadata `resil-context`. Say `false` for servers of others.
   *
   * @defaultValue `grpcDefaults.sendContext` (true)
   */
  readonly sendContext?: boolean | undefined;
  /** Makes the pipeline of a key, instead of the standard one; the options of the standard pipeline are then refused. */
  readonly pipeline?: ((key: string) => Pipeline) | undefined;
  /** Keys kept at most. @defaultValue 10,000 */
  readonly maxKeys?: number | undefined;
  /** Milliseconds without use after which a key is forgotten. @defaultValue 600,000 */
  readonly idleTimeout?: number | undefined;
}

/** Options of `resilient`: those of `interceptor`, and what only a client that exists can do. */
export interface ResilientOptions extends InterceptorSettings {
  /**
   * Watches `grpc.health.v1` on the client's target, and isolates the circuit breakers while the server
   * says that it is not serving. A string names the service that is asked about; `true` asks about the
   * server as a whole. Ends with `client.close()`; until then it keeps the connection, and so the
   * process, alive.
   *
   * A server without the health service, or whose watch fails, is taken to be serving.
   *
   * @defaultValue `grpcDefaults.health` (false)
   */
  readonly health?: boolean | string | undefined;
}

/** Defaults of `resilient` and `interceptor`, beside `standardDefaults` of `@resil/core`. */
export const grpcDefaults: {
  readonly name: string;
  readonly key: GrpcKey;
  readonly streamTimeout: false;
  readonly sendContext: boolean;
  readonly health: boolean;
  readonly maxKeys: number;
  readonly idleTimeout: number;
} = Object.freeze({
  name: 'grpc',
  key: 'service',
  streamTimeout: false,
  sendContext: true,
  health: false,
  maxKeys: keyedDefaults.maxKeys,
  idleTimeout: keyedDefaults.idleTimeout,
});

const { key: _key, ...partRules } = standardRules;

const ownRules: OptionRules<Omit<InterceptorSettings, keyof typeof partRules>> = {
  key: eitherRule(oneOfRule('service', 'method', 'target'), functionRule),
  idempotent: eitherRule(
    objectRule(
      "an array of paths like '/shop.v1.Inventory/GetStock'",
      (value) => Array.isArray(value) && value.every(isPath),
    ),
    functionRule,
    booleanRule,
  ),
  streamTimeout: eitherRule(positiveDurationRule(), oneOfRule(false)),
  sendContext: booleanRule,
  pipeline: functionRule,
  maxKeys: countRule(1),
  idleTimeout: positiveDurationRule(true),
};

const interceptorRules: OptionRules<InterceptorSettings> = { ...partRules, ...ownRules };
const resilientRules: OptionRules<ResilientOptions> = {
  ...interceptorRules,
  health: eitherRule(booleanRule, nameRule),
};

const timeRule = {
  test: (value: unknown) => typeof value === 'number' && !Number.isNaN(value),
  text: 'a point in time, in milliseconds',
};

const callRules: OptionRules<CallResilience> = {
  idempotent: booleanRule,
  deadline: timeRule,
  signal: objectRule('an AbortSignal', (value) => typeof value.addEventListener === 'function'),
  priority: {
    test: (value) => typeof value === 'number' && !Number.isNaN(value),
    text: 'a number',
  },
  key: nameRule,
  name: nameRule,
  pipeline: objectRule('a Pipeline', (value) => typeof value.execute === 'function'),
};

/** @throws `InvalidOptionError` */
export function checkInterceptorOptions(options: InterceptorSettings): void {
  checkOptions('interceptor', options, interceptorRules);
  checkPipelineAlone('interceptor', options);
}

/** @throws `InvalidOptionError` */
export function checkResilientOptions(options: ResilientOptions): void {
  checkOptions('resilient', options, resilientRules);
  checkPipelineAlone('resilient', options);
  const { health, circuitBreaker } = options;
  if (health !== undefined && health !== false && circuitBreaker === false) {
    throw new InvalidOptionError('resilient.health', health, 'needs the circuit breaker');
  }
}

/** @throws `InvalidOptionError` */
export function checkCallResilience(resilience: CallResilience): void {
  checkOptions('resilience', resilience, callRules);
}

/** The options that the standard pipeline reads. */
export function standardOptionsOf(options: InterceptorSettings): StandardOptions {
  const { name = grpcDefaults.name } = options;
  const parts = Object.keys(partRules) as Array<keyof typeof partRules>;
  return { ...Object.fromEntries(parts.map((part) => [part, options[part]])), name };
}

/** Whoever makes the pipeline decides what it is made of. */
function checkPipelineAlone(owner: string, options: InterceptorSettings): void {
  if (options.pipeline === undefined) return;
  for (const name of Object.keys(partRules) as Array<keyof typeof partRules>) {
    const ofBoth = name === 'clock' || name === 'name' || name === 'dependency';
    if (options[name] !== undefined && !ofBoth) {
      throw new InvalidOptionError(
        `${owner}.${name}`,
        options[name],
        'must be left out where pipeline is given',
      );
    }
  }
}

function isPath(value: unknown): boolean {
  return typeof value === 'string' && /^\/[^/]+\/[^/]+$/.test(value);
}
