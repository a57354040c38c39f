/** The same dashboard on each server. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { fastify } from 'fastify';
import { onTestFinished } from 'vitest';
import { type DashboardOptions, dashboard } from '../src/index.js';

/** A dashboard that can be reached. */
export interface Mounted {
  /** Of the page. */
  readonly url: string;
}

/** Mounts a dashboard on a server, at `/inside/`, beside a route of the server's own at `/own`. */
export type Mount = (options?: DashboardOptions) => Promise<Mounted>;

export const mounts: readonly [name: string, mount: Mount][] = [
  ['node:http', onNode],
  ['Express', onExpress],
  ['Fastify', onFastify],
];

async function onNode(options: DashboardOptions = {}): Promise<Mounted> {
  const board = dashboard({ ...options, path: '/inside' });
  onTestFinished(() => board.close());
  const server = createServer((request, response) => {
    board(request, response, () => response.end('own'));
  });
  return listen(server);
}

async function onExpress(options: DashboardOptions = {}): Promise<Mounted> {
  const board = dashboard(options);
  onTestFinished(() => board.close());
  const app = express();
  app.use('/inside', board);
  app.get('/own', (_request, response) => {
    response.send('own');
  });
  return listen(createServer(app));
}

async function onFastify(options: DashboardOptions = {}): Promise<Mounted> {
  const board = dashboard(options);
  onTestFinished(() => board.close());
  const app = fastify();
  app.register(board.fastify, { prefix: '/inside' });
  app.get('/own', () => 'own');
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => app.close());
  return { url: `${url}/inside/` };
}

async function listen(server: Server): Promise<Mounted> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/inside/` };
}
