import http from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { treatmentOf } from './http-faults.js';
import { type HttpProcess, startHttpProcess } from './http-process.js';
import { type HttpService, startHttpService } from './http-server.js';

const stops: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function inProcess(...[options]: Parameters<typeof startHttpService>): Promise<HttpService> {
  const service = await startHttpService(options);
  stops.push(() => service.stop());
  return service;
}

async function ownProcess(...[options]: Parameters<typeof startHttpProcess>): Promise<HttpProcess> {
  const service = await startHttpProcess(options);
  stops.push(() => service.kill());
  return service;
}

/** Status and body, or the code of what went wrong. */
function get(url: string, options: http.RequestOptions = {}): Promise<string> {
  return new Promise((resolve) => {
    const request = http.request(url, { agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', (error: NodeJS.ErrnoException) =>
        resolve(`${response.statusCode} ${error.code}`),
      );
      response.on('end', () => resolve(`${response.statusCode} ${Buffer.concat(chunks)}`));
    });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
    request.end();
  });
}

describe('HttpService', () => {
  it('echoes method, path and size, and counts hits by path', async () => {
    const service = await inProcess();
    expect(await get(`${service.origin}/a?secret=1`)).toBe(
      '200 {"method":"GET","path":"/a","size":0}',
    );
    await get(`${service.origin}/a`, { method: 'PUT' });
    expect(service.counters()).toMatchObject({
      hits: 2,
      byPath: { 'GET /a': 1, 'PUT /a': 1 },
      served: 2,
    });
    service.resetCounters();
    expect(service.counters().hits).toBe(0);
  });

  it('answers by handlers, and by the fault paths', async () => {
    const service = await inProcess({ handlers: { 'GET /price': () => ({ price: 3 }) } });
    expect(await get(`${service.origin}/price`)).toBe('200 {"price":3}');
    expect(await get(`${service.origin}/fault/cut`)).toBe('200 ECONNRESET');
    expect(await get(`${service.origin}/fault/reset`)).toBe('ECONNRESET');
    expect(await get(`${service.origin}/fault/garbage`)).toBe('HPE_INVALID_CONSTANT');
    expect(await get(`${service.origin}/fault/trickle`)).toBe(`200 ${'.'.repeat(20)}`);
  });

  it('switches faults while it runs', async () => {
    const service = await inProcess({ faults: { statusRatio: 1, status: 429, retryAfter: '7' } });
    expect(await get(service.origin)).toBe('429 {"error":"fault"}');
    service.set({ resetRatio: 1 });
    expect(await get(service.origin)).toBe('ECONNRESET');
    service.set();
    expect(await get(service.origin)).toContain('200');
  });

  it('serves only as many requests at a time as it has workers', async () => {
    const service = await inProcess({ workers: 2, serviceTime: 30, maxWaiting: 2 });
    const answers = await Promise.all(Array.from({ length: 6 }, () => get(service.origin)));
    expect(answers.filter((text) => text.startsWith('200'))).toHaveLength(4);
    expect(answers.filter((text) => text === '503 {"error":"overloaded"}')).toHaveLength(2);
    expect(service.counters()).toMatchObject({ served: 4, waiting: 0 });
  });

  it('closes idle connections without a word', async () => {
    const service = await inProcess({ faults: { closeIdleAfter: 1 } });
    const agent = new http.Agent({ keepAlive: true });
    await get(service.origin, { agent });
    await expect.poll(() => service.counters().sockets).toBe(0);
    agent.destroy();
  });
});

describe('treatmentOf', () => {
  it('shares the requests out by the ratios', () => {
    const faults = { hangRatio: 0.1, resetRatio: 0.2, statusRatio: 0.3 };
    const drawn = [0.05, 0.1, 0.29, 0.31, 0.59, 0.61].map((chance) =>
      treatmentOf(faults, () => chance),
    );
    expect(drawn).toEqual(['hang', 'reset', 'reset', 'status', 'status', 'serve']);
  });
});

describe('HttpProcess', () => {
  it('runs in a process of its own, with the same faults and counters', async () => {
    const service = await ownProcess({ workers: 4 });
    expect(await get(service.origin)).toContain('200');
    await service.set({ statusRatio: 1 });
    expect(await get(service.origin)).toBe('503 {"error":"fault"}');
    expect(await service.counters()).toMatchObject({ hits: 2, served: 1 });
  });

  it('can be killed', async () => {
    const service = await ownProcess();
    await service.kill();
    expect(await get(service.origin)).toBe('ECONNREFUSED');
    await expect(service.counters()).rejects.toThrow('has ended');
  });
});
