/** The pipelines of one `interceptor` or `resilient`, and which of them a call goes through. Shared by all calls. */
import type { Interceptor, InterceptorOptions, NextCall } from '@grpc/grpc-js';
import { type CircuitBreaker, Keyed, type Pipeline, standard, unregister } from '@resil/core';
import { classify } from './classify.js';
import type { CallSetup } from './guarded-call.js';
import type { HostCall, MethodDefinition } from './host.js';
import { lanesOf } from './lanes.js';
import { type GrpcMethod, methodOf } from './method.js';
import {
  checkCallResilience,
  grpcDefaults,
  type InterceptorSettings,
  standardOptionsOf,
} from './options.js';
import { ReplayableCall } from './replayable-call.js';
import { StreamingCall } from './streaming-call.js';

/** Where the calls of a method go. */
export interface Route {
  readonly method: GrpcMethod;
  readonly key: string;
  /** Name of its calls in events. */
  readonly name: string;
  readonly idempotent: boolean;
  /** Milliseconds that its streams may live. */
  readonly streamTimeout: number | undefined;
  /** Whether its server is told what it works for. */
  readonly sendContext: boolean;
}

/** Paths are a program's own and few; a client that makes them up must not fill the memory. */
const MAX_ROUTES = 1_000;

/** What is known of the client, where there is one. */
export interface ProtectionContext {
  /** Where it sends to. */
  readonly target?: string;
  /** Paths that its `.proto` declares idempotent. */
  readonly declared?: ReadonlySet<string>;
  /** Told of every pipeline that is made. */
  readonly made?: (breakers: readonly CircuitBreaker[]) => void;
}

/** Interceptors of ours, so that a call never goes through two: its attempts would multiply. */
const ours = new WeakSet<Interceptor>();

/** Whether it is one of {@link Protection.interceptor}. */
export function isOurs(interceptor: Interceptor): boolean {
  return ours.has(interceptor);
}

/** The pipelines by key, and the interceptor that leads calls to them. */
export class Protection {
  readonly interceptor: Interceptor;
  readonly #options: InterceptorSettings;
  readonly #context: ProtectionContext;
  readonly #pipelines: Keyed;
  readonly #routes = new Map<string, Route>();

  constructor(options: InterceptorSettings, context: ProtectionContext = {}) {
    this.#options = options;
    this.#context = context;
    const { name = grpcDefaults.name, dependency, maxKeys, idleTimeout, clock } = options;
    const make = options.pipeline ?? standardPipelines(options);
    const factory = (key: string): Pipeline => {
      const pipeline = make(key);
      if (context.made !== undefined) context.made(lanesOf(pipeline).breakers);
      return pipeline;
    };
    this.#pipelines = new Keyed(factory, { name, dependency, maxKeys, idleTimeout, clock });
    // grpc-js wants an InterceptingCall and uses no more of it than its interface.
    const open = (given: InterceptorOptions, nextCall: NextCall): HostCall =>
      this.#open(given, nextCall);
    this.interceptor = open as unknown as Interceptor;
    ours.add(this.interceptor);
  }

  /** Ends what the pipelines do beside calls. */
  close(): void {
    this.#pipelines.close();
  }

  #open(options: InterceptorOptions, nextCall: NextCall): HostCall {
    const { resilience } = options;
    if (resilience !== undefined) checkCallResilience(resilience);
    const route = this.#routeOf(options.method_definition);
    const pipeline = resilience?.pipeline ?? this.#pipelines.for(resilience?.key ?? route.key);
    const setup: CallSetup = { route, lanes: lanesOf(pipeline), options, nextCall };
    return options.method_definition.requestStream
      ? new StreamingCall(setup)
      : new ReplayableCall(setup);
  }

  #routeOf(definition: MethodDefinition): Route {
    let known = this.#routes.get(definition.path);
    if (known === undefined) {
      known = this.#describe(methodOf(definition));
      if (this.#routes.size < MAX_ROUTES) this.#routes.set(definition.path, known);
    }
    return known;
  }

  #describe(method: GrpcMethod): Route {
    const { streamTimeout, sendContext = grpcDefaults.sendContext } = this.#options;
    return {
      method,
      key: this.#keyOf(method),
      name: method.path.slice(1),
      idempotent: this.#isIdempotent(method),
      streamTimeout: streamTimeout === false || method.kind === 'unary' ? undefined : streamTimeout,
      sendContext,
    };
  }

  #keyOf(method: GrpcMethod): string {
    const { key = grpcDefaults.key, name = grpcDefaults.name } = this.#options;
    if (typeof key === 'function') return key(method);
    if (key === 'service') return method.service;
    return key === 'method' ? method.path.slice(1) : (this.#context.target ?? name);
  }

  #isIdempotent(method: GrpcMethod): boolean {
    const { idempotent } = this.#options;
    if (typeof idempotent === 'boolean') return idempotent;
    if (typeof idempotent === 'function') return idempotent(method);
    if (idempotent !== undefined) return idempotent.includes(method.path);
    return this.#context.declared?.has(method.path) === true;
  }
}

function standardPipelines(options: InterceptorSettings): (key: string) => Pipeline {
  const settings = { ...standardOptionsOf(options), classify: options.classify ?? classify };
  // Parts that contradict each other are refused now, not when the first call is made.
  unregister(standard(settings));
  return (key) => standard({ ...settings, key });
}
