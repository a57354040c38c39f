/** What the order service answers to those who run it: `/metrics`, `/livez`, `/readyz`. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { health, healthHandler } from '@resil/health';
import { instrument } from '@resil/prometheus';
import { register } from 'prom-client';

/** Serves them on a free port of loopback, which it gives. Doesn't keep the process alive. */
export async function serveOperations(serviceId: string): Promise<number> {
  instrument();
  const probes = healthHandler(health({ serviceId }));
  const server = createServer((request, response) => {
    probes(request, response, () => {
      if (request.url === '/metrics') void sendMetrics(response);
      else response.writeHead(404).end();
    });
  });
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function sendMetrics(response: ServerResponse): Promise<void> {
  try {
    const text = await register.metrics();
    response.writeHead(200, { 'content-type': register.contentType }).end(text);
  } catch {
    response.writeHead(500).end();
  }
}
