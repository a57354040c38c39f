/**
 * grpc-js: a server interceptor that runs handlers of all four kinds within the context that the call
 * brought: `grpc-timeout` and the metadata `resil-context`.
 */
import { type AmbientContext, systemClock } from '@resil/core';
import { provideContext, runWithin } from './context.js';
import type { HeaderRecord } from './headers.js';
import { Arrivals, type ContextOptions } from './options.js';
import { LATE_DETAIL } from './refusal.js';

/** What the interceptor needs of a method. */
export interface GrpcMethodLike {
  readonly requestStream: boolean;
}

/** What the interceptor needs of metadata. */
interface GrpcMetadataLike {
  get(name: string): readonly unknown[];
  getMap(): Readonly<Record<string, unknown>>;
}

interface GrpcListener {
  onReceiveMetadata(metadata: GrpcMetadataLike): void;
  onReceiveMessage(message: unknown): void;
  onReceiveHalfClose(): void;
  onCancel(): void;
}

interface GrpcServerCall {
  start(listener: GrpcListener): void;
  sendStatus(status: { readonly code: number; readonly details: string }): void;
  getDeadline(): Date | number;
}

const DEADLINE_EXCEEDED = 4;

/**
 * An interceptor of grpc-js' server: `new Server({ interceptors: [grpcContext()] })`. A call whose
 * deadline has passed ends with `DEADLINE_EXCEEDED`, and its handler does not run.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts
 * import { Server } from '@grpc/grpc-js';
 * import { grpcContext } from '@resil/context';
 *
 * const server = new Server({ interceptors: [grpcContext()] });
 * server.forceShutdown();
 * ```
 */
export function grpcContext(
  options: ContextOptions = {},
  // biome-ignore lint/suspicious/noExplicitAny: grpc-js asks for a class of its own, which its users bring
): (method: GrpcMethodLike, call: any) => any {
  const arrivals = new Arrivals('grpcContext', options);
  provideContext();
  return (method, call: GrpcServerCall) => {
    const start = (listener: GrpcListener): void =>
      call.start(new ContextListener(arrivals, method, call, listener));
    // Of a call everything but its start stays what it is, whatever a later version adds.
    return new Proxy(call, {
      get(target, name) {
        if (name === 'start') return start;
        const value = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
}

/** Hears what arrives of a call, and tells its handler within the context. */
class ContextListener implements GrpcListener {
  readonly #arrivals: Arrivals;
  readonly #method: GrpcMethodLike;
  readonly #call: GrpcServerCall;
  readonly #listener: GrpcListener;
  #context: AmbientContext = {};
  #refused = false;

  constructor(
    arrivals: Arrivals,
    method: GrpcMethodLike,
    call: GrpcServerCall,
    listener: GrpcListener,
  ) {
    this.#arrivals = arrivals;
    this.#method = method;
    this.#call = call;
    this.#listener = listener;
  }

  onReceiveMetadata(metadata: GrpcMetadataLike): void {
    this.#context = this.#arrivals.contextOf(headersOf(metadata), this.#remaining());
    if (!this.#refuses()) this.#tell(() => this.#listener.onReceiveMetadata(metadata));
  }

  onReceiveMessage(message: unknown): void {
    this.#tell(() => this.#listener.onReceiveMessage(message));
  }

  onReceiveHalfClose(): void {
    // A handler of a single request starts here.
    if (!this.#method.requestStream && this.#refuses()) return;
    this.#tell(() => this.#listener.onReceiveHalfClose());
  }

  onCancel(): void {
    this.#tell(() => this.#listener.onCancel());
  }

  #tell(what: () => void): void {
    if (!this.#refused) runWithin(this.#context, what);
  }

  #refuses(): boolean {
    if (!this.#arrivals.isLate(this.#context)) return false;
    this.#refused = true;
    this.#call.sendStatus({ code: DEADLINE_EXCEEDED, details: LATE_DETAIL });
    return true;
  }

  /** grpc-js has turned `grpc-timeout` into wall time, just now. */
  #remaining(): number {
    const deadline = Number(this.#call.getDeadline());
    return deadline === Infinity ? Infinity : deadline - (systemClock.epoch?.() ?? 0);
  }
}

/** Metadata as Node holds headers: a value alone as it is, several of one name as a list. */
function headersOf(metadata: GrpcMetadataLike): HeaderRecord {
  const names = Object.keys(metadata.getMap());
  return Object.fromEntries(
    names.map((name) => {
      const values = metadata.get(name);
      return [name, values.length === 1 ? values[0] : values];
    }),
  );
}
