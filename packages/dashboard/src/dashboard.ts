/**
 * The dashboard: a handler of HTTP requests that serves the page and what it shows, and a server of its
 * own for whoever has none. While nobody looks it samples at leisure and hears no event.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Board } from './board.js';
import { type DashboardOptions, resolveDashboardOptions } from './options.js';
import { type DashboardServer, listen } from './own-server.js';
import { Peers } from './peers.js';
import { Routes } from './routes.js';
import { Sampler } from './sampler.js';
import { Show } from './show.js';

/** What the plugin needs of a Fastify instance. */
export interface FastifyLike {
  readonly prefix: string;
  // biome-ignore lint/suspicious/noExplicitAny: a route's options, of Fastify's own type
  route(options: any): unknown;
}

/** A mounted dashboard: itself the handler of a `node:http` server, and a middleware of Express. */
export interface Dashboard {
  (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void): void;
  /** A plugin of Fastify: `app.register(board.fastify, { prefix: '/resilience' })`. */
  readonly fastify: (app: FastifyLike, options: object, done: () => void) => void;
  /**
   * Serves it on a port of its own; 0 takes a free one. The process lives as long as it listens.
   *
   * Rejects with a {@link DashboardListenError} where it can't: the port is in use, or not allowed.
   */
  listen(port: number, host?: string): Promise<DashboardServer>;
  /** Ends it: its viewers, its own servers, its sampling. */
  close(): Promise<void>;
}

/**
 * Shows every pipeline of the process.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { dashboard } from '@resil/dashboard';
 *
 * const server = createServer(dashboard());
 * server.close();
 * ```
 */
export function dashboard(options: DashboardOptions = {}): Dashboard {
  const resolved = resolveDashboardOptions(options);
  const { clock, reports, controlToken } = resolved;
  const board = new Board({ ...resolved, control: controlToken !== undefined });
  const sampler = new Sampler(resolved);
  const show = new Show({ ...resolved, board, sampler });
  const peers =
    reports &&
    new Peers(reports, {
      board,
      clock,
      watched: () => show.watched,
      epoch: () => sampler.moment().epoch,
    });
  if (peers !== undefined) show.beforeSample(() => peers.sweep());
  const routes = new Routes({ options: resolved, board, sampler, show, peers });
  const servers = new Set<DashboardServer>();

  const handler = (
    request: IncomingMessage,
    response: ServerResponse,
    next?: (error?: unknown) => void,
  ): void => {
    routes.handle(request, response, resolved.path, next);
  };
  show.start();
  return Object.assign(handler, {
    fastify: (app: FastifyLike, _options: object, done: () => void): void => {
      const serve = (
        { raw: request }: { readonly raw: IncomingMessage },
        reply: { readonly raw: ServerResponse; hijack(): unknown },
      ): void => {
        // Before Fastify reads the body, and past whatever it would do with the answer.
        reply.hijack();
        routes.handle(request, reply.raw, `${app.prefix.replace(/\/+$/, '')}/`);
      };
      for (const url of app.prefix === '' ? ['/*'] : ['', '/*']) {
        app.route({ method: ['GET', 'POST'], url, onRequest: serve, handler: () => {} });
      }
      done();
    },
    listen: async (port: number, host?: string): Promise<DashboardServer> => {
      const server = await listen(
        (request, response) => {
          routes.handle(request, response, '/');
        },
        port,
        host,
      );
      servers.add(server);
      return server;
    },
    close: async (): Promise<void> => {
      show.end();
      await Promise.all([...servers].map((server) => server.close()));
      servers.clear();
    },
  });
}
