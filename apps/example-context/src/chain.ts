/**
 * Three services in a row, each a `node:http` server that calls the next one by axios; the last answers
 * every request with a 503 and counts them.
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ResilientOptions, resilient } from '@resil/axios';
import { httpContext, installContext } from '@resil/context';
import axios from 'axios';

/** How the services of a chain protect what they call. */
export interface ChainOptions {
  /** Whether the context goes from service to service. */
  readonly context: boolean;
  /** Makes the options of each client: that of the caller, and those of the first two services. */
  readonly client: () => ResilientOptions;
}

/** Attempts that arrived at each of the three services. */
export interface Arrived {
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

const AT_ONCE = 50;

/** Calls the first of three services so many times, while the last one is down. */
export async function callThrough(calls: number, options: ChainOptions): Promise<Arrived> {
  const end = options.context ? installContext() : () => {};
  const arrived = { a: 0, b: 0, c: 0 };
  const servers: Server[] = [];
  const start = async (name: keyof Arrived, answer: () => Promise<number>): Promise<string> => {
    const handler: RequestListener = async (_request, response) => {
      arrived[name]++;
      response.writeHead(await answer()).end();
    };
    const server = createServer(options.context ? httpContext(handler) : handler);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  /** Asks a service, and gives the status that its caller answers with. */
  const asker = (url: string): (() => Promise<number>) => {
    const client = resilient(axios.create({ baseURL: url }), options.client());
    return () =>
      client.get('/').then(
        () => 200,
        () => 503,
      );
  };
  try {
    const c = await start('c', async () => 503);
    const b = await start('b', asker(c));
    const ask = asker(await start('a', asker(b)));
    for (let left = calls; left > 0; left -= AT_ONCE) {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, left) }, ask));
    }
  } finally {
    for (const server of servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    end();
  }
  return arrived;
}
