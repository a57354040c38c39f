import { getEventListeners } from 'node:events';
import axios, { type AxiosAdapter } from 'axios';
import { describe, expect, it } from 'vitest';
import { resilient } from '../src/index.js';
import { eventually, failureOf, quick, service } from './service.js';

const slow = {
  ...quick,
  retry: { maxAttempts: 3, baseDelay: 60_000, maxDelay: 60_000, jitter: 'none', budget: false },
} as const;
const reason = new Error('the user left');

describe.each(['http', 'fetch'])('cancellation over %s', (adapter) => {
  it('sends nothing when the signal is aborted already', async () => {
    const http = await service();
    const api = resilient(axios.create({ baseURL: http.origin, adapter }), quick);
    for (const resilience of [{ signal: AbortSignal.abort(reason) }, undefined]) {
      const config = resilience ? { resilience } : { signal: AbortSignal.abort(reason) };
      const error = await failureOf(api.get('/x', config));
      expect(axios.isCancel(error)).toBe(true);
    }
    expect(http.counters().hits).toBe(0);
  });

  it.each(['signal', 'resilience'] as const)(
    'keeps the reason of an abort by %s while it runs, and closes the connection',
    async (place) => {
      const http = await service();
      const api = resilient(axios.create({ baseURL: http.origin, adapter }), quick);
      const controller = new AbortController();
      const { signal } = controller;
      const call = api.get(
        '/fault/hang',
        place === 'signal' ? { signal } : { resilience: { signal } },
      );
      await eventually(() => http.counters().hits).toBe(1);
      controller.abort(reason);
      const error = await failureOf(call);
      expect(axios.isCancel(error)).toBe(true);
      expect(error).toBeInstanceOf(axios.CanceledError);
      expect(error).toMatchObject({ code: 'ERR_CANCELED', name: 'CanceledError' });
      expect(error.cause).toBe(reason);
      expect(error.config?.url).toBe('/fault/hang');
      await eventually(() => http.counters().abandoned).toBe(1);
      expect(http.counters().hits).toBe(1);
      expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    },
  );

  it('ends a wait between attempts at once, and sends nothing more', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin, adapter }), slow);
    const controller = new AbortController();
    const call = api.get('/x', { signal: controller.signal });
    await eventually(() => http.counters().hits).toBe(1);
    setTimeout(() => controller.abort(reason), 20);
    const error = await failureOf(call);
    expect(axios.isCancel(error)).toBe(true);
    expect(error.cause).toBe(reason);
    expect(http.counters().hits).toBe(1);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('keeps a reason that is not an error', async () => {
    const http = await service();
    const api = resilient(axios.create({ baseURL: http.origin, adapter }), quick);
    const controller = new AbortController();
    const call = api.get('/fault/hang', { signal: controller.signal });
    await eventually(() => http.counters().hits).toBe(1);
    controller.abort('gone');
    expect((await failureOf(call)).cause).toBe('gone');
  });

  it('leaves no listener on a signal that lives long', async () => {
    const http = await service();
    const api = resilient(axios.create({ baseURL: http.origin, adapter }));
    const { signal } = new AbortController();
    const { signal: other } = new AbortController();
    for (let call = 0; call < 20; call++)
      await api.get('/x', { signal, resilience: { signal: other } });
    await eventually(() => getEventListeners(signal, 'abort').length).toBe(0);
    expect(getEventListeners(other, 'abort')).toHaveLength(0);
  });

  it.each(['signal', 'other'])('aborts by either of two signals: %s', async (which) => {
    const http = await service();
    const api = resilient(axios.create({ baseURL: http.origin, adapter }), quick);
    const signals = { signal: new AbortController(), other: new AbortController() };
    const call = api.get('/fault/hang', {
      signal: signals.signal.signal,
      resilience: { signal: signals.other.signal },
    });
    await eventually(() => http.counters().hits).toBe(1);
    signals[which as 'signal' | 'other'].abort(reason);
    const error = await failureOf(call);
    expect(axios.isCancel(error)).toBe(true);
    expect(error.cause).toBe(reason);
  });

  it("works with the caller's own CancelToken, while it runs and while it waits", async () => {
    const http = await service();
    for (const faults of [{ hangRatio: 1 }, { statusRatio: 1 }]) {
      http.set(faults);
      http.resetCounters();
      const api = resilient(axios.create({ baseURL: http.origin, adapter }), slow);
      const source = axios.CancelToken.source();
      const call = api.get('/x', { cancelToken: source.token });
      await eventually(() => http.counters().hits).toBe(1);
      setTimeout(() => source.cancel('enough'), 20);
      const error = await failureOf(call);
      expect(axios.isCancel(error)).toBe(true);
      expect(error.message).toBe('enough');
      expect(http.counters().hits).toBe(1);
    }
  });

  it('does not count for the circuit', async () => {
    const http = await service({ faults: { hangRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin, adapter }), {
      ...quick,
      circuitBreaker: { failureThreshold: 1, resetTimeout: 60_000 },
    });
    for (let call = 0; call < 3; call++) {
      await failureOf(api.get('/x', { signal: AbortSignal.timeout(30) }));
    }
    http.set();
    expect((await api.get('/x')).status).toBe(200);
  });

  it.each([
    ['attemptTimeout', { attemptTimeout: 300 }],
    ['totalTimeout', { totalTimeout: 300 }],
  ])('closes the connection of a request that %s cuts short', async (_name, limit) => {
    const http = await service();
    const api = resilient(axios.create({ baseURL: http.origin, adapter }), {
      ...quick,
      retry: false,
      ...limit,
    });
    for (const url of ['/fault/hang', '/fault/stall', '/fault/trickle']) {
      const error = await failureOf(api.get(url));
      expect(error.code).toBe('RESIL_TIMEOUT');
    }
    await eventually(() => http.counters().abandoned).toBe(3);
    // undici opens new ones in advance.
    if (adapter === 'http') await eventually(() => http.counters().sockets).toBe(0);
  });
});

describe('cancellation', () => {
  it('answers at once although an adapter takes no notice', async () => {
    const deaf: AxiosAdapter = () => new Promise(() => {});
    const api = resilient(axios.create({ adapter: deaf }), {
      ...quick,
      retry: false,
      attemptTimeout: 30,
    });
    expect((await failureOf(api.get('http://h/x'))).code).toBe('RESIL_TIMEOUT');
    const error = await failureOf(api.get('http://h/x', { signal: AbortSignal.timeout(5) }));
    expect(axios.isCancel(error)).toBe(true);
  });

  it('lets a stream that was answered live on, until its caller aborts it', async () => {
    const http = await service();
    const api = resilient(axios.create({ baseURL: http.origin }), {
      ...quick,
      attemptTimeout: 600,
    });
    const whole = await api.get('/fault/trickle', { responseType: 'stream' });
    let size = 0;
    for await (const chunk of whole.data) size += chunk.length;
    expect(size).toBe(20);

    const controller = new AbortController();
    const cut = await api.get('/fault/trickle', {
      responseType: 'stream',
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(reason), 20);
    await expect(cut.data.toArray()).rejects.toThrow();
    await eventually(() => http.counters().sockets).toBeLessThan(2);

    const source = axios.CancelToken.source();
    const canceled = await api.get('/fault/trickle', {
      responseType: 'stream',
      cancelToken: source.token,
    });
    setTimeout(() => source.cancel('enough'), 20);
    await expect(canceled.data.toArray()).rejects.toThrow('enough');
  });
});
