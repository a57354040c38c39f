import axios, { Axios, type AxiosAdapter, type AxiosInstance } from 'axios';
import { describe, expect, it, vi } from 'vitest';
import { resilient } from '../src/index.js';
import { failureOf, quick, service } from './service.js';

const answering = (data: unknown): AxiosAdapter =>
  vi.fn(async (config) => ({ data, status: 200, statusText: 'OK', headers: {}, config }));

describe('resilient', () => {
  it('runs interceptors and transforms once per call, whatever is repeated', async () => {
    const { origin, counters } = await failingTwice();
    const seen: string[] = [];
    const note = <T>(what: string, value: T): T => {
      seen.push(what);
      return value;
    };
    const api = resilient(
      axios.create({
        baseURL: origin,
        transformRequest: [(data) => note('transformRequest', JSON.stringify(data))],
        transformResponse: [(data) => note(`transformResponse ${typeof data}`, JSON.parse(data))],
      }),
      quick,
    );
    api.interceptors.request.use((config) => note('request', config));
    api.interceptors.response.use((response) => note('response', response));
    const { data } = await api.put('/x', { a: 1 });
    expect(data).toMatchObject({ size: 7 });
    expect(counters().hits).toBe(3);
    expect(seen).toEqual(['request', 'transformRequest', 'transformResponse string', 'response']);
  });

  it('runs the interceptors once for a call that fails', async () => {
    const { origin } = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: origin }), quick);
    const rejected = vi.fn((error) => Promise.reject(error));
    api.interceptors.response.use(undefined, rejected);
    await failureOf(api.get('/x'));
    expect(rejected).toHaveBeenCalledTimes(1);
  });

  it('protects every way to send a request', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(
      axios.create({ baseURL: http.origin, headers: { 'idempotency-key': '1' } }),
      quick,
    );
    const url = '/x';
    const ways: Record<string, () => Promise<unknown>> = {
      'api(config)': () => api({ url }),
      'api(url)': () => api(url),
      'api(url, config)': () => api(url, { method: 'put' }),
      request: () => api.request({ url }),
      get: () => api.get(url),
      delete: () => api.delete(url),
      head: () => api.head(url),
      options: () => api.options(url),
      post: () => api.post(url, {}),
      put: () => api.put(url, {}),
      patch: () => api.patch(url, {}),
      query: () => api.query(url, {}),
      postForm: () => api.postForm(url, { a: 1 }),
      putForm: () => api.putForm(url, { a: 1 }),
      patchForm: () => api.patchForm(url, { a: 1 }),
      'a taken method': () => {
        const { get } = api;
        return get(url);
      },
      'create().get': () => api.create().get(url),
    };
    for (const [way, send] of Object.entries(ways)) {
      http.resetCounters();
      await failureOf(send());
      // axios makes a stream of a form, which is consumed by the first attempt.
      expect(http.counters().hits, way).toBe(way.endsWith('Form') ? 1 : 3);
    }
  });

  it('leaves the instance that it is given as it is', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const bare = axios.create({ baseURL: http.origin });
    const { adapter } = bare.defaults;
    resilient(bare, quick);
    await failureOf(bare.get('/x'));
    expect(http.counters().hits).toBe(1);
    expect(bare.defaults.adapter).toBe(adapter);
  });

  it('shares defaults and interceptors with that instance, both ways', async () => {
    const http = await service();
    const bare = axios.create({ baseURL: http.origin });
    const api = resilient(bare);
    expect(api.defaults).toBe(bare.defaults);
    expect(api.interceptors).toBe(bare.interceptors);
    bare.defaults.headers.common['x-late'] = 'yes';
    bare.interceptors.request.use((config) => {
      config.headers.set('x-later', 'yes');
      return config;
    });
    await api.get('/x');
    expect(http.requests[0]?.headers).toMatchObject({ 'x-late': 'yes', 'x-later': 'yes' });
  });

  it('keeps what else an instance has: getUri, members of its own, those of axios itself', async () => {
    const bare = axios.create({ baseURL: 'http://h' }) as AxiosInstance & { greet?: () => string };
    bare.greet = () => 'hello';
    const api = resilient(bare);
    expect(api.getUri({ url: '/x', params: { a: 1 } })).toBe('http://h/x?a=1');
    expect(api.greet?.()).toBe('hello');
    const whole = resilient(axios);
    expect(whole.isAxiosError(new axios.AxiosError('x'))).toBe(true);
    expect(whole.create({ baseURL: 'http://h' }).defaults.baseURL).toBe('http://h');
    expect(axios.defaults.adapter).toEqual(['xhr', 'http', 'fetch']);
  });

  it('protects the adapter that a request brings', async () => {
    const { origin } = await service();
    const api = resilient(axios.create({ baseURL: origin }), quick);
    let calls = 0;
    const flaky: AxiosAdapter = async (config) => {
      if (++calls < 3) throw new axios.AxiosError('reset', 'ECONNRESET', config);
      return { data: 'own', status: 200, statusText: 'OK', headers: {}, config };
    };
    expect((await api.get('/x', { adapter: flaky })).data).toBe('own');
    expect(calls).toBe(3);
    await api.get('/x', { adapter: 'fetch' });
  });

  it('protects an adapter that is put into the defaults later, as mocks do', async () => {
    const api = resilient(axios.create({ baseURL: 'http://h' }), quick);
    const mock = answering('mock');
    api.defaults.adapter = mock;
    expect((await api.get('/x')).data).toBe('mock');
    expect(mock).toHaveBeenCalledTimes(1);
  });

  it('does not multiply attempts when a request is sent again with the config of an error', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin }), quick);
    const error = await failureOf(api.get('/x'));
    http.resetCounters();
    await failureOf(api.request(error.config ?? {}));
    expect(http.counters().hits).toBe(3);
  });

  it('sends again what a response interceptor repeats, after a token was renewed', async () => {
    const http = await service({
      handlers: {
        '/x': (request, response) => {
          if (request.headers.authorization === 'new') return { ok: true };
          response.writeHead(401).end();
          return undefined;
        },
      },
    });
    const api = resilient(axios.create({ baseURL: http.origin }), quick);
    api.interceptors.response.use(undefined, (error) => {
      error.config.headers.authorization = 'new';
      return api(error.config);
    });
    expect((await api.get('/x')).data).toEqual({ ok: true });
    expect(http.counters().hits).toBe(2);
  });

  it('refuses to wrap a view again, and views that it makes', () => {
    const api = resilient(axios.create());
    expect(() => resilient(api)).toThrow('must not be wrapped already');
    expect(() => resilient(api.create())).toThrow('must not be wrapped already');
  });

  it('lets a method that was replaced by the user be', async () => {
    const api = resilient(axios.create());
    const spy = vi.spyOn(api, 'get').mockResolvedValue({ data: 'spied' });
    expect((await api.get('/x')).data).toBe('spied');
    spy.mockRestore();
  });

  it('protects instances of the Axios class and of classes made from it', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    class Shop extends Axios {
      price(): Promise<unknown> {
        return this.get('/price');
      }
    }
    const shop = resilient(
      new Shop({ ...axios.defaults, headers: {}, baseURL: http.origin }),
      quick,
    );
    expect(shop).toBeInstanceOf(Shop);
    await failureOf(shop.price());
    expect(http.counters().hits).toBe(3);
    // Without an adapter in its defaults axios takes its own.
    await failureOf(
      resilient(new Axios({ baseURL: http.origin, validateStatus: (s) => s < 300 }), quick).get(
        '/x',
      ),
    );
    expect(http.counters().hits).toBe(6);
  });

  it('hands the config on as the same object, without anything of ours in it', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin }), quick);
    const error = await failureOf(api.get('/x'));
    expect(error.config).toBe(error.response?.config);
    expect(error.config?.cancelToken).toBeUndefined();
    http.set();
    const answer = await api.get('/x', { resilience: { idempotent: true } });
    expect(answer.config.cancelToken).toBeUndefined();
    expect(answer.config.resilience).toEqual({ idempotent: true });
  });
});

/** A service that answers 503 twice, then as usual. */
async function failingTwice(): Promise<Awaited<ReturnType<typeof service>>> {
  let left = 2;
  const http = await service({
    handlers: {
      '/x': (request, response) => {
        if (left-- > 0) {
          response.writeHead(503).end();
          return undefined;
        }
        return { size: request.body.length };
      },
    },
  });
  return Object.assign(http, { counters: http.counters.bind(http) });
}
