// The context

export type { AmbientContext } from '@resil/core';
export {
  currentContext,
  currentHeaders,
  installContext,
  remainingTime,
  runDetached,
  runInContext,
} from './context.js';

// Headers

export {
  CONTEXT_HEADER,
  DEADLINE_HEADER,
  type HeaderRecord,
  readContext,
  writeContext,
} from './headers.js';

// Servers

export {
  type FastifyLike,
  type FastifyReplyLike,
  type FastifyRequestLike,
  fastifyContext,
} from './fastify.js';
export { type GrpcMethodLike, grpcContext } from './grpc.js';
export { expressContext, type HttpHandler, type HttpMiddleware, httpContext } from './http.js';
export { type KafkaContextOptions, type KafkaPayloadLike, kafkaContext } from './kafka.js';
export { type ContextOptions, contextDefaults } from './options.js';
