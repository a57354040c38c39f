/** A hedge on a real server: two requests at a time for one call. */
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { observe, type ResilienceEvent } from '@resil/core';
import axios from 'axios';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ResilientOptions, resilient } from '../src/index.js';
import { eventually, failureOf, quick, service } from './service.js';

/** The second request starts soon after the first, and nothing else decides. */
const hedged: ResilientOptions = { ...quick, retry: false, hedge: { delay: 20, budget: false } };

/** A service whose first request to `/x` is never answered, and the others are at once. */
async function stalling(answer: (order: number) => unknown = (order) => ({ order })) {
  let order = 0;
  return service({ handlers: { '/x': () => (++order === 1 ? undefined : answer(order)) } });
}

/** The events of the process until the test ends. */
function heard(): ResilienceEvent[] {
  const events: ResilienceEvent[] = [];
  onTestFinished(observe((event) => events.push(event)));
  return events;
}

describe.each(['http', 'fetch'])('hedge, by the %s adapter', (adapter) => {
  it('takes the answer of the second request and cancels the first on the server', async () => {
    const http = await stalling();
    const events = heard();
    const api = resilient(axios.create({ baseURL: http.origin, adapter }), hedged);
    const seen: unknown[] = [];
    api.interceptors.request.use((config) => {
      seen.push(config);
      return config;
    });
    const response = await api.get('/x', { headers: { 'x-own': 'kept' } });
    expect(response.data).toEqual({ order: 2 });
    // What interceptors keep about the request stays true: it is the config that they saw.
    expect(response.config).toBe(seen[0]);
    expect(http.requests.map(({ headers }) => headers['x-own'])).toEqual(['kept', 'kept']);
    await eventually(() => http.counters().abandoned).toBe(1);
    expect(events.map(({ type }) => type)).toEqual([
      'call.started',
      'hedge.started',
      'hedge.lost',
      'hedge.won',
      'call.succeeded',
    ]);
  });

  it('sends the body of a PUT twice, made anew by a factory if need be', async () => {
    for (const request of [
      { data: { a: 1 } },
      { resilience: { body: () => Readable.from(['{"a":1}']), idempotent: true } },
    ]) {
      const http = await stalling();
      const api = resilient(axios.create({ baseURL: http.origin, adapter }), hedged);
      const options = { method: 'PUT', url: '/x', headers: { 'content-type': 'application/json' } };
      expect((await api.request({ ...options, ...request })).data).toEqual({ order: 2 });
      // The first arrives with its body before the second is sent, or not at all on a busy machine.
      for (const { body } of http.requests) expect(JSON.parse(body.toString())).toEqual({ a: 1 });
      expect(http.requests.length).toBeGreaterThan(0);
    }
  });

  it('sends nothing twice that may not be', async () => {
    const http = await service({
      handlers: { '/x': () => new Promise((resolve) => setTimeout(() => resolve({}), 200)) },
    });
    const api = resilient(axios.create({ baseURL: http.origin, adapter }), hedged);
    await api.post('/x', { a: 1 });
    await api.put('/x', Readable.from(['once']));
    expect(http.counters().byPath).toEqual({ 'POST /x': 1, 'PUT /x': 1 });
    await api.get('/x');
    expect(http.counters().byPath['GET /x']).toBe(2);
  });

  it('sends the second at once when the first fails, and gives the last answer when both do', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const hedge = { delay: Infinity, budget: false } as const;
    const api = resilient(axios.create({ baseURL: http.origin, adapter }), { ...hedged, hedge });
    const error = await failureOf(api.get('/x'));
    expect(error.response?.status).toBe(503);
    expect(http.counters().hits).toBe(2);
  });

  it('ends both when the caller aborts', async () => {
    const http = await service({ handlers: { '/x': () => undefined } });
    const api = resilient(axios.create({ baseURL: http.origin, adapter }), hedged);
    const controller = new AbortController();
    const call = failureOf(api.get('/x', { signal: controller.signal }));
    await eventually(() => http.counters().hits).toBe(2);
    controller.abort('gone');
    expect(axios.isCancel(await call)).toBe(true);
    await eventually(() => http.counters().abandoned).toBe(2);
  });

  it('frees the answer that comes second, though its body is a stream', async () => {
    // Both answers begin in the same moment.
    const waiting: ServerResponse[] = [];
    const http = await service({
      handlers: {
        '/x': (_request, response) => {
          waiting.push(response);
          if (waiting.length < 2) return;
          for (const each of waiting) each.writeHead(200).write('begin');
        },
      },
    });
    const api = resilient(axios.create({ baseURL: http.origin, adapter }), hedged);
    const { data } = await api.get('/x', { responseType: 'stream' });
    await eventually(() => http.counters().abandoned).toBe(1);
    expect(waiting.filter(({ destroyed }) => destroyed)).toHaveLength(1);
    // A web stream of axios ends with the next chunk only.
    if (adapter === 'http') data.destroy();
    else void data.cancel().catch(() => {});
  });
});

describe('hedge by extra load', () => {
  it('keeps its share on a real server', async () => {
    const http = await service({
      handlers: {
        '/x': () => new Promise((resolve) => setTimeout(() => resolve({}), Math.random() * 5)),
      },
    });
    const api = resilient(axios.create({ baseURL: http.origin }), {
      ...quick,
      retry: false,
      hedge: { maxExtraLoad: 0.05 },
    });
    for (let round = 0; round < 30; round++)
      await Promise.all(Array.from({ length: 10 }, () => api.get('/x')));
    expect(http.counters().hits).toBeLessThanOrEqual(300 * 1.05);
  });
});
