/** The same two routes on each server: what its handler runs in, and a body that it reads. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import express from 'express';
import { fastify } from 'fastify';
import { onTestFinished } from 'vitest';
import { type ContextOptions, expressContext, fastifyContext, httpContext } from '../src/index.js';

/** A running server. */
export interface Running {
  readonly url: string;
}

/** Runs for each request, with its body; what it gives is the answer. */
export type Handle = (body: string) => unknown;

/** Starts a server whose `handle` runs within the context; it is stopped when the test ends. */
export type Start = (handle: Handle, options?: ContextOptions) => Promise<Running>;

export const servers: readonly [name: string, start: Start][] = [
  ['node:http', startNode],
  ['Express', startExpress],
  ['Fastify', startFastify],
];

function startNode(handle: Handle, options?: ContextOptions): Promise<Running> {
  const handler = httpContext(async (request, response) => {
    const answer = handle(await text(request));
    response.end(JSON.stringify(await answer));
  }, options);
  return listen(createServer(handler));
}

function startExpress(handle: Handle, options?: ContextOptions): Promise<Running> {
  const app = express();
  app.use(expressContext(options));
  app.use(express.text({ type: '*/*', limit: '1mb' }));
  app.all('/', async (request, response) => {
    const { body = '' } = request as { body?: string };
    response.send(JSON.stringify(await handle(typeof body === 'string' ? body : '')));
  });
  return listen(createServer(app));
}

async function startFastify(handle: Handle, options: ContextOptions = {}): Promise<Running> {
  const app = fastify();
  app.register(fastifyContext, options);
  app.register(async (part) => {
    part.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
      done(null, body);
    });
    part.all('/', async (request) => JSON.stringify(await handle(String(request.body ?? ''))));
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => app.close());
  return { url };
}

async function listen(server: Server): Promise<Running> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
