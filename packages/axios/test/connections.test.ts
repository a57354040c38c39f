import { Agent } from 'node:http';
import { observe, type ResilienceEvent } from '@resil/core';
import axios, { type AxiosInstance } from 'axios';
import { describe, expect, it, onTestFinished } from 'vitest';
import { resilient } from '../src/index.js';
import { delay, eventually, failureOf, quick, service } from './service.js';

/** Keeps this process so busy that it notices no closed connection, and then sends. */
function afterBusy<T>(duration: number, send: () => Promise<T>): Promise<T> {
  const end = performance.now() + duration;
  while (performance.now() < end);
  return send();
}

/** A service that closes idle connections silently, and how many of `count` requests fail. */
async function stale(
  protect: (bare: AxiosInstance) => AxiosInstance,
  method: 'get' | 'post',
  count: number,
): Promise<{ failed: number; hits: number; events: readonly ResilienceEvent[] }> {
  const { startHttpProcess } = await import('@resil/testbed');
  const http = await startHttpProcess({ faults: { closeIdleAfter: 5 } });
  onTestFinished(() => http.kill());
  const httpAgent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => httpAgent.destroy());
  const api = protect(axios.create({ baseURL: http.origin, httpAgent }));
  const events: ResilienceEvent[] = [];
  const end = observe((event) => events.push(event));
  let failed = 0;
  for (let call = 0; call < count; call++) {
    await afterBusy(12, () => api.request({ url: '/x', method })).catch(() => failed++);
    await delay(0);
  }
  end();
  return { failed, hits: (await http.counters()).hits, events };
}

describe('connections', () => {
  describe('that the server closed while they were idle', () => {
    const circuit = { failureThreshold: 1, resetTimeout: 60_000 };

    it('cost bare axios many of 80 requests, and a protected one none', async () => {
      const bare = await stale((instance) => instance, 'get', 80);
      expect(bare.failed).toBeGreaterThan(0);
      const { failed, hits, events } = await stale(
        (instance) => resilient(instance, { ...quick, retry: false, circuitBreaker: circuit }),
        'get',
        80,
      );
      expect(failed).toBe(0);
      expect(hits).toBe(80);
      expect(events.some(({ type }) => type === 'circuit.opened')).toBe(false);
    });

    it('do not make a POST be sent twice, nor count for the circuit', async () => {
      const { failed, hits, events } = await stale(
        (instance) => resilient(instance, { ...quick, circuitBreaker: circuit }),
        'post',
        30,
      );
      expect(failed).toBeGreaterThan(0);
      expect(hits).toBe(30 - failed);
      expect(events.some(({ type }) => type === 'circuit.opened')).toBe(false);
    });
  });

  it.each(['http', 'fetch'])(
    'are freed of the answers of attempts that were not the last, over %s',
    async (adapter) => {
      const http = await service({
        handlers: {
          '/x': (_request, response) => {
            response.writeHead(503, { 'content-length': 1_000_000 });
            response.write('the rest is never sent');
          },
        },
      });
      for (const validateStatus of [null, () => false]) {
        const api = resilient(
          axios.create({ baseURL: http.origin, adapter, responseType: 'stream', validateStatus }),
          quick,
        );
        const answers = await Promise.all(
          Array.from({ length: 10 }, () => api.get('/x').catch((error) => error.response)),
        );
        // The last answer is the caller's, and may be read.
        await eventually(() => http.counters().abandoned).toBe(20);
        if (adapter === 'http') {
          for (const { data } of answers) data.destroy();
          await eventually(() => http.counters().sockets).toBe(0);
        }
        http.resetCounters();
      }
    },
  );

  it('are freed before the wait for the next attempt, not after', async () => {
    const http = await service({
      handlers: { '/x': (_request, response) => void response.writeHead(503).write('endless') },
    });
    const api = resilient(axios.create({ baseURL: http.origin, responseType: 'stream' }), {
      ...quick,
      retry: { maxAttempts: 2, baseDelay: 60_000, maxDelay: 60_000, jitter: 'none', budget: false },
    });
    const controller = new AbortController();
    const call = failureOf(api.get('/x', { signal: controller.signal }));
    await eventually(() => http.counters().abandoned).toBe(1);
    expect(http.counters()).toMatchObject({ hits: 1, sockets: 0 });
    controller.abort();
    await call;
  });

  it('are freed of an answer that a fallback stands in for', async () => {
    const http = await service({
      handlers: { '/x': (_request, response) => void response.writeHead(503).write('endless') },
    });
    const api = resilient(axios.create({ baseURL: http.origin, responseType: 'stream' }), {
      ...quick,
      retry: false,
      fallback: () => 'stale price',
    });
    const answer = await api.get('/x');
    expect(answer).toMatchObject({ data: 'stale price', status: 200 });
    await eventually(() => http.counters().sockets).toBe(0);
  });
});
