import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { circuitBreaker, pipeline } from '@resil/core';
import express from 'express';
import { fastify } from 'fastify';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  fastifyHealth,
  type Health,
  type HealthRoutes,
  health,
  healthHandler,
} from '../src/index.js';

type Start = (own: Health, routes?: HealthRoutes) => Promise<string>;

const servers: [name: string, start: Start][] = [
  [
    'node:http',
    (own, routes) => {
      const answer = healthHandler(own, routes);
      return listen(
        createServer((request, response) =>
          answer(request, response, () => response.end('its own')),
        ),
      );
    },
  ],
  [
    'Express',
    (own, routes) => {
      const app = express();
      app.use(healthHandler(own, routes));
      app.get('/', (_request, response) => void response.send('its own'));
      return listen(createServer(app));
    },
  ],
  [
    'Fastify',
    async (own, routes) => {
      const app = fastify();
      app.register(fastifyHealth, { health: own, ...routes });
      app.get('/', async () => 'its own');
      onTestFinished(() => app.close());
      return app.listen({ host: '127.0.0.1', port: 0 });
    },
  ],
];

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe.each(servers)('on %s', (_name, start) => {
  const failing = () => {
    const breaker = circuitBreaker();
    breaker.isolate();
    const prices = pipeline({ name: 'prices', dependency: { critical: true } }, breaker);
    return health({ serviceId: 'orders', pipelines: () => [prices] });
  };

  it('answers the probes and the report', async () => {
    const own = health({ pipelines: () => [pipeline('prices', circuitBreaker())] });
    const url = await start(own);
    for (const path of ['/livez', '/readyz', '/startupz', '/health']) {
      const answer = await fetch(url + path);
      expect([path, answer.status]).toEqual([path, 200]);
      expect(answer.headers.get('content-type')).toMatch(/^application\/health\+json/);
      expect(answer.headers.get('cache-control')).toBe('no-store');
      expect(await answer.json()).toMatchObject({ status: 'pass' });
    }
    const whole = (await (await fetch(`${url}/health`)).json()) as { checks: object };
    expect(Object.keys(whole.checks)).toEqual(['prices:circuitBreaker']);
  });

  it('answers 503 when it is not ready, and stays live', async () => {
    const url = await start(failing());
    const ready = await fetch(`${url}/readyz?verbose`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({
      status: 'fail',
      output: 'failing: a critical dependency',
    });
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect((await fetch(`${url}/health`)).status).toBe(503);
  });

  it('answers HEAD without a body, and leaves other paths alone', async () => {
    const url = await start(failing());
    const head = await fetch(`${url}/readyz`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([503, '']);
    expect(await (await fetch(url)).text()).toBe('its own');
  });

  it('answers at paths of your own, and not where it must not', async () => {
    const url = await start(failing(), { liveness: '/alive', report: false });
    expect((await fetch(`${url}/alive`)).status).toBe(200);
    expect(await (await fetch(`${url}/health`)).text()).not.toContain('prices');
    expect(await (await fetch(`${url}/livez`)).text()).not.toContain('pass');
  });
});

describe('healthHandler', () => {
  it('is a server of its own too', async () => {
    const url = await listen(createServer(healthHandler(health({ pipelines: () => [] }))));
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect((await fetch(`${url}/other`)).status).toBe(404);
    const wrong = await fetch(`${url}/readyz`, { method: 'POST' });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it.each<[unknown, HealthRoutes, RegExp]>([
    [{}, {}, /^healthHandler: health must be what health\(\) gives/],
    [health(), { liveness: 'livez' }, /^healthHandler\.liveness must be a path that begins/],
    [health(), { liveness: '/readyz' }, /^healthHandler must have a path of its own/],
  ])('refuses %o with %o', (own, routes, message) => {
    expect(() => healthHandler(own as Health, routes)).toThrow(message);
  });
});

describe('fastifyHealth', () => {
  it('has ready() reject with bad options', async () => {
    const app = fastify();
    app.register(fastifyHealth, { health: health(), liveness: 'x' });
    await expect(app.ready()).rejects.toThrow(/^fastifyHealth\.liveness must be a path/);
  });

  it('stands behind a prefix', async () => {
    const app = fastify();
    app.register(fastifyHealth, { health: health({ pipelines: () => [] }), prefix: '/internal' });
    onTestFinished(() => app.close());
    expect((await app.inject('/internal/readyz')).statusCode).toBe(200);
  });
});
