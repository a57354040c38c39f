/** Fastify: a plugin whose hooks run what comes after them within the context that the request brought. */
import type { AmbientContext } from '@resil/core';
import { provideContext, runWithin } from './context.js';
import type { HeaderRecord } from './headers.js';
import { Arrivals, type ContextOptions } from './options.js';
import { LATE_BODY, LATE_STATUS, LATE_TYPE } from './refusal.js';

/** What the plugin needs of a request. */
export interface FastifyRequestLike {
  readonly headers: HeaderRecord;
}

/** What the plugin needs of a reply. */
export interface FastifyReplyLike {
  code(status: number): unknown;
  header(name: string, value: string): unknown;
  send(body: string): unknown;
}

/** What the plugin needs of a Fastify instance. */
export interface FastifyLike {
  // biome-ignore lint/suspicious/noExplicitAny: a list of hooks by name, each of its own type
  addHook(name: any, hook: any): unknown;
}

/**
 * A plugin of Fastify, for all routes: `app.register(fastifyContext)`. A request whose deadline has
 * passed is answered with status 504, before its body is read or when it has been.
 *
 * Bad options have `app.ready()` reject with an `InvalidOptionError`.
 *
 * @example
 * ```ts no-run (needs Fastify)
 * import { fastifyContext } from '@resil/context';
 *
 * declare const app: { register(plugin: typeof fastifyContext): void };
 * app.register(fastifyContext);
 * ```
 */
export function fastifyContext(
  app: FastifyLike,
  options: ContextOptions,
  done: (error?: Error) => void,
): void {
  let arrivals: Arrivals;
  try {
    arrivals = new Arrivals('fastifyContext', options);
  } catch (error) {
    // What a plugin throws Fastify leaves to nobody.
    done(error as Error);
    return;
  }
  const contexts = new WeakMap<FastifyRequestLike, AmbientContext>();
  provideContext();
  const enter = (context: AmbientContext, reply: FastifyReplyLike, next: () => void): void => {
    if (!arrivals.isLate(context)) {
      runWithin(context, next);
      return;
    }
    reply.code(LATE_STATUS);
    reply.header('content-type', LATE_TYPE);
    reply.header('cache-control', 'no-store');
    reply.send(LATE_BODY);
  };
  app.addHook(
    'onRequest',
    (request: FastifyRequestLike, reply: FastifyReplyLike, next: () => void) => {
      const context = arrivals.contextOf(request.headers);
      contexts.set(request, context);
      enter(context, reply, next);
    },
  );
  // What has read a body goes on in the context of the socket.
  app.addHook(
    'preValidation',
    (request: FastifyRequestLike, reply: FastifyReplyLike, next: () => void) => {
      enter(contexts.get(request) ?? {}, reply, next);
    },
  );
  done();
}

// For the app that registers it, not for a part of its own.
Object.assign(fastifyContext, { [Symbol.for('skip-override')]: true });
