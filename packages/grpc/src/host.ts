/** The parts of grpc-js that a guarded call touches. Types only: see `status.ts`. */
import type {
  CallOptions,
  InterceptingListener,
  InterceptorOptions,
  Metadata,
  NextCall,
  StatusObject,
} from '@grpc/grpc-js';

/** A call as interceptors see it; grpc-js doesn't export the name. */
export type HostCall = ReturnType<NextCall>;

/** What goes with a message. */
export type MessageContext = Parameters<HostCall['sendMessageWithContext']>[0];

/** Who hears what comes back. */
export type HostListener = Partial<InterceptingListener>;

/** The definition of a method, as the interceptor gets it. */
export type MethodDefinition = InterceptorOptions['method_definition'];

/** The server's call that a client's call is made for. */
export type ParentCall = NonNullable<CallOptions['parent']>;

/** Metadata without an entry, of the same copy of grpc-js as `like`. */
export function emptyMetadata(like: Metadata): Metadata {
  return new (like.constructor as new () => Metadata)();
}

/** A status, for the one that a call ends with when nothing is to be said. */
export function okStatus(metadata: Metadata): StatusObject {
  return { code: 0, details: 'OK', metadata };
}
