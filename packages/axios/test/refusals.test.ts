import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import {
  bulkhead,
  circuitBreaker,
  isResilienceError,
  observe,
  pipeline,
  type ResilienceEvent,
} from '@resil/core';
import axios, { type AxiosError } from 'axios';
import { describe, expect, it, vi } from 'vitest';
import { classify, resilient } from '../src/index.js';
import { failureOf, quick, service } from './service.js';

const open = {
  ...quick,
  retry: false,
  circuitBreaker: { failureThreshold: 1, resetTimeout: 60_000 },
} as const;

describe('a refusal', () => {
  it('is our own error, and one that interceptors of axios can handle', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin }), open);
    const seen: unknown[] = [];
    api.interceptors.response.use(undefined, (error: AxiosError) => {
      // What such interceptors do: read the config, look at the response, ask whether it is axios'.
      seen.push([
        error.config?.method,
        error.config?.url,
        error.response?.status,
        axios.isAxiosError(error),
      ]);
      return Promise.reject(error);
    });
    await failureOf(api.get('/a'));
    const error = await failureOf(api.get('/b'));
    expect(seen).toEqual([
      ['get', '/a', 503, true],
      ['get', '/b', undefined, true],
    ]);
    expect(isResilienceError(error)).toBe(true);
    expect(error).toMatchObject({ code: 'RESIL_CIRCUIT_OPEN', refusal: true });
    expect(error.message).toContain('is open; a probe is allowed in');
    expect(error.toJSON()).toMatchObject({ code: 'RESIL_CIRCUIT_OPEN', name: error.name });
  });

  it('says nothing of headers, bodies and query values, in print, in JSON and in events', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const secret = 'hunter2';
    const api = resilient(
      axios.create({ baseURL: http.origin, headers: { authorization: secret } }),
      open,
    );
    const events: ResilienceEvent[] = [];
    const end = observe((event) => events.push(event));
    const url = `/path/${secret}?token=${secret}`;
    const config = { auth: { username: 'u', password: secret }, params: { key: secret } };
    await failureOf(api.post(url, { password: secret }, config));
    const error = await failureOf(api.post(url, { password: secret }, config));
    end();
    expect(error.code).toBe('RESIL_CIRCUIT_OPEN');
    for (const text of [error.message, JSON.stringify(error), inspect(error, { depth: 9 })]) {
      expect(text.replace(error.stack ?? '', '')).not.toContain(secret);
    }
    expect(events.length).toBeGreaterThan(4);
    for (const { name, key, pipeline: label } of events) {
      expect([label, key, name]).toEqual(['axios', http.origin, 'POST']);
    }
  });

  it('keeps credentials in the URL out of the key', async () => {
    const http = await service();
    const api = resilient(
      axios.create({ baseURL: http.origin.replace('http://', 'http://user:hunter2@') }),
    );
    const keys = new Set<string | undefined>();
    const end = observe((event) => keys.add(event.key));
    await api.get('/x');
    end();
    expect([...keys]).toEqual([http.origin]);
  });
});

describe('a fallback', () => {
  it('stands in for the data of an answer', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin }), {
      ...quick,
      fallback: () => ({ price: 7 }),
    });
    const after = vi.fn((response) => response);
    api.interceptors.response.use(after);
    const answer = await api.get<{ price: number }>('/price');
    expect(answer).toMatchObject({ data: { price: 7 }, status: 200 });
    expect(answer.config.url).toBe('/price');
    expect(after).toHaveBeenCalledTimes(1);
  });

  it('may give a whole answer', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin }), {
      ...quick,
      fallback: () => ({ data: '{"price":7}', status: 203, headers: { 'x-from': 'cache' } }),
    });
    const answer = await api.get('/price');
    expect(answer).toMatchObject({ data: { price: 7 }, status: 203 });
    expect(answer.headers['x-from']).toBe('cache');
  });

  it('can tell which request it answers, refusals included', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin }), {
      ...open,
      fallback: (error, { attributes }) => [
        (error as AxiosError).code,
        attributes.http?.config.url,
        attributes.http?.replayable,
      ],
    });
    const { data: failed } = await api.get('/price/7');
    const { data: refused } = await api.get('/price/8');
    const { data: withStream } = await api.post('/price/9', Readable.from(['body']));
    expect(failed).toEqual(['ERR_BAD_RESPONSE', '/price/7', true]);
    expect(refused).toEqual(['RESIL_CIRCUIT_OPEN', '/price/8', true]);
    expect(withStream).toEqual(['RESIL_CIRCUIT_OPEN', '/price/9', false]);
  });
});

describe('options of a request', () => {
  it('choose another key, name and pipeline', async () => {
    const http = await service();
    const api = resilient(axios.create({ baseURL: http.origin }));
    const events: ResilienceEvent[] = [];
    const end = observe((event) => events.push(event));
    await api.get('/x', { resilience: { key: 'tenant-7', name: 'GET /x/:id' } });
    const own = pipeline(
      { name: 'own', classify },
      bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 0 }),
    );
    await api.get('/x', { resilience: { pipeline: own } });
    end();
    expect(events.map(({ pipeline: label, key, name }) => [label, key, name])).toEqual([
      ['axios', 'tenant-7', 'GET /x/:id'],
      ['axios', 'tenant-7', 'GET /x/:id'],
      ['own', http.origin, 'GET'],
      ['own', http.origin, 'GET'],
    ]);
  });

  it('may be defaults of the instance', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(
      axios.create({ baseURL: http.origin, resilience: { idempotent: true } }),
      quick,
    );
    await failureOf(api.post('/x'));
    expect(http.counters().hits).toBe(3);
    await failureOf(api.post('/x', {}, { resilience: { idempotent: false } }));
    expect(http.counters().hits).toBe(4);
  });

  it.each<[object, string]>([
    [{ idempotent: 'yes' }, "resilience.idempotent must be true or false, but got 'yes'"],
    [{ deadline: Number.NaN }, 'resilience.deadline must be a point in time'],
    [{ signal: {} }, 'resilience.signal must be an AbortSignal'],
    [{ priority: '1' }, 'resilience.priority must be a number'],
    [{ key: '' }, 'resilience.key must be a string that is not empty'],
    [{ pipeline: {} }, 'resilience.pipeline must be a Pipeline'],
    [{ body: 'text' }, 'resilience.body must be a function'],
    [{ retries: 3 }, 'resilience.retries is not an option'],
  ])('%j are refused', async (resilience, message) => {
    const http = await service();
    const api = resilient(axios.create({ baseURL: http.origin }));
    const error = await failureOf(api.get('/x', { resilience }));
    expect(error.message).toContain(message);
    expect(http.counters().hits).toBe(0);
  });
});

describe('pipeline', () => {
  it('replaces the standard one, made once per key', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const made = vi.fn((key: string) =>
      pipeline(
        { name: 'mine', key, classify },
        circuitBreaker({ failureThreshold: 1, resetTimeout: 60_000 }),
      ),
    );
    const api = resilient(axios.create({ baseURL: http.origin }), {
      pipeline: made,
      key: (config) => config.url ?? '',
    });
    await failureOf(api.get('/a'));
    expect((await failureOf(api.get('/a'))).code).toBe('RESIL_CIRCUIT_OPEN');
    expect((await failureOf(api.get('/b'))).response?.status).toBe(503);
    expect(made.mock.calls).toEqual([['/a'], ['/b']]);
  });
});
