/** The oldest axios that the package claims to work with, in the place of the newest. */
import axios, { type AxiosStatic } from 'axios';
import { describe, expect, it, vi } from 'vitest';
import { resilient } from '../src/index.js';
import { describeContract } from './contract-of.js';
import { eventually, failureOf, quick, service } from './service.js';

vi.mock('axios', () => import('axios-oldest'));

const oldest: AxiosStatic = axios;
describeContract(oldest, 'http');
describeContract(oldest, 'fetch');

describe('the oldest axios', () => {
  it('is the one that is tested', () => {
    expect(oldest.VERSION).toBe('1.7.0');
  });

  it.each(['http', 'fetch'])('stops a request and keeps the reason over %s', async (adapter) => {
    const http = await service();
    const api = resilient(oldest.create({ baseURL: http.origin, adapter }), {
      ...quick,
      retry: false,
    });
    const reason = new Error('the user left');
    for (const url of ['/fault/hang', '/fault/stall']) {
      http.resetCounters();
      const controller = new AbortController();
      const call = api.get(url, { signal: controller.signal });
      await eventually(() => http.counters().hits).toBe(1);
      controller.abort(reason);
      const error = await failureOf(call);
      expect(oldest.isCancel(error)).toBe(true);
      expect(error.cause).toBe(reason);
      await eventually(() => http.counters().abandoned).toBe(1);
    }
  });

  it('cuts attempts short, repeats what may be repeated, and gives the last error', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(oldest.create({ baseURL: http.origin }), {
      ...quick,
      attemptTimeout: 500,
    });
    expect((await failureOf(api.get('/x'))).response?.status).toBe(503);
    expect(http.counters().hits).toBe(3);
    http.resetCounters();
    await failureOf(api.post('/x', {}));
    expect(http.counters().hits).toBe(1);
    http.resetCounters();
    const error = await failureOf(api.get('/fault/trickle'));
    expect(error.code).toBe('RESIL_TIMEOUT');
    expect(http.counters().hits).toBe(3);
  });

  it('lets go of stale connections and unread bodies', async () => {
    const http = await service({
      handlers: { '/x': (_request, response) => void response.writeHead(503).write('endless') },
    });
    const api = resilient(oldest.create({ baseURL: http.origin, responseType: 'stream' }), quick);
    const error = await failureOf(api.get('/x'));
    await eventually(() => http.counters().abandoned).toBe(2);
    (error.response as { data: { destroy(): void } }).data.destroy();
    await eventually(() => http.counters().sockets).toBe(0);
  });
});
