import { createServer } from 'node:http';
import { Server, type ServerInterceptor } from '@grpc/grpc-js';
import type { RequestHandler } from 'express';
import { fastify } from 'fastify';
import type { EachMessageHandler, EachMessagePayload } from 'kafkajs';
import { expectTypeOf } from 'vitest';
import {
  expressContext,
  fastifyContext,
  grpcContext,
  httpContext,
  kafkaContext,
  runInContext,
} from '../src/index.js';

// Each helper fits where its host takes one, and the host's own types reach the handler.
createServer(httpContext((request, response) => response.end(request.url)));
expectTypeOf(expressContext()).toExtend<RequestHandler>();
fastify().register(fastifyContext);
fastify().register(fastifyContext, { maxDuration: 5_000, trust: () => true });
expectTypeOf(grpcContext()).toExtend<ServerInterceptor>();
new Server({ interceptors: [grpcContext({ maxDuration: 5_000 })] });
expectTypeOf(
  kafkaContext(async (payload: EachMessagePayload) => {
    expectTypeOf(payload.message.offset).toEqualTypeOf<string>();
  }),
).toExtend<EachMessageHandler>();
kafkaContext<EachMessagePayload>(async () => {}, {
  onLate: ({ topic }) => {
    expectTypeOf(topic).toEqualTypeOf<string>();
  },
});

// Work keeps its type.
expectTypeOf(runInContext({ priority: 1 }, () => 5)).toEqualTypeOf<number>();
expectTypeOf(runInContext({}, async () => 'x')).toEqualTypeOf<Promise<string>>();
// @ts-expect-error: not part of a context
runInContext({ timeout: 5 }, () => {});
// @ts-expect-error: a record has no bound of its own
kafkaContext(async () => {}, { maxDuration: 5 });
