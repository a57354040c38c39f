import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { observe, type Verdict } from '@resil/core';
import axios, { type AxiosRequestConfig } from 'axios';
import { describe, expect, it, onTestFinished } from 'vitest';
import { classify, resilient } from '../src/index.js';
import { selfSignedCertificate } from './certificate.js';
import { closedPort, failureOf, quick, service } from './service.js';

type Kind = Verdict['kind'];
/** What a fault means: whose it is, and how often GET, POST and an idempotent POST are sent in three attempts. */
type Row = readonly [
  name: string,
  fault: Fault,
  kind: Kind,
  get: number,
  post: number,
  idempotentPost: number,
];

interface Fault {
  /** Path of the service, or where else to send. */
  readonly path?: string;
  readonly status?: number;
  readonly config?: AxiosRequestConfig;
  readonly baseURL?: () => Promise<string>;
  /** Code that axios gives the error; nothing if it resolves. */
  readonly code?: string | RegExp;
}

const status = (code: number, more: Partial<Fault> = {}): Fault => ({ status: code, ...more });
const answered = (code: number, config: AxiosRequestConfig): Fault => ({ status: code, config });
const any = { validateStatus: () => true };
const asJson: AxiosRequestConfig = {
  responseType: 'json',
  transitional: { silentJSONParsing: false },
};

/** A name with two addresses, on which nobody listens. */
const twoAddresses: NonNullable<AxiosRequestConfig['lookup']> = async () => [
  { address: '127.0.0.1', family: 4 },
  { address: '127.0.0.2', family: 4 },
];

const rows: readonly Row[] = [
  ['connection refused', { baseURL: refused, code: 'ECONNREFUSED' }, 'failure', 3, 3, 3],
  [
    'connection refused on all addresses of a name',
    {
      baseURL: async () => `http://two:${await closedPort()}`,
      config: { lookup: twoAddresses },
      code: 'ECONNREFUSED',
    },
    'failure',
    3,
    3,
    3,
  ],
  [
    'name not found',
    { baseURL: async () => 'http://no-such-host.invalid', code: /ENOTFOUND|EAI_AGAIN/ },
    'failure',
    3,
    3,
    3,
  ],
  ['connection reset', { path: '/fault/reset', code: 'ECONNRESET' }, 'failure', 3, 1, 3],
  ['connection closed', { path: '/fault/close', code: 'ECONNRESET' }, 'failure', 3, 1, 3],
  ['garbage instead of HTTP', { path: '/fault/garbage', code: /^HPE_/ }, 'failure', 3, 1, 3],
  [
    'no answer within timeout',
    { path: '/fault/hang', config: { timeout: 150 }, code: 'ECONNABORTED' },
    'failure',
    3,
    1,
    3,
  ],
  [
    'no answer within timeout, named ETIMEDOUT',
    {
      path: '/fault/hang',
      config: { timeout: 150, transitional: { clarifyTimeoutError: true } },
      code: 'ETIMEDOUT',
    },
    'failure',
    3,
    1,
    3,
  ],
  [
    'headers, then nothing',
    { path: '/fault/stall', config: { timeout: 150 }, code: /ERR_BAD_RESPONSE|ECONNABORTED/ },
    'failure',
    3,
    1,
    3,
  ],
  ['a body that is cut', { path: '/fault/cut', code: 'ERR_BAD_RESPONSE' }, 'failure', 3, 1, 3],
  [
    'a body that is not the gzip it claims',
    { path: '/fault/gzip', code: 'Z_DATA_ERROR' },
    'failure',
    3,
    1,
    3,
  ],
  ['500', status(500, { code: 'ERR_BAD_RESPONSE' }), 'failure', 3, 1, 3],
  ['502', status(502), 'failure', 3, 1, 3],
  ['503', status(503), 'failure', 3, 1, 3],
  ['504', status(504), 'failure', 3, 1, 3],
  ['501', status(501), 'success', 1, 1, 1],
  ['505', status(505), 'success', 1, 1, 1],
  ['507', status(507), 'failure', 1, 1, 1],
  ['503 that resolves', answered(503, any), 'failure', 3, 1, 3],
  [
    '503 that resolves for want of validateStatus',
    answered(503, { validateStatus: null }),
    'failure',
    3,
    1,
    3,
  ],
  ['404 that resolves', answered(404, any), 'success', 1, 1, 1],
  ['429 that resolves', answered(429, any), 'ignored', 3, 1, 3],
  ['408', status(408), 'ignored', 3, 1, 3],
  ['425', status(425), 'ignored', 3, 1, 3],
  ['429', status(429, { code: 'ERR_BAD_REQUEST' }), 'ignored', 3, 1, 3],
  ['400', status(400), 'success', 1, 1, 1],
  ['401', status(401), 'success', 1, 1, 1],
  ['404', status(404), 'success', 1, 1, 1],
  ['409', status(409), 'success', 1, 1, 1],
  ['304', status(304, { code: 'ERR_BAD_RESPONSE' }), 'success', 1, 1, 1],
  [
    'too many redirects',
    { path: '/fault/redirect', config: { maxRedirects: 2 }, code: 'ERR_FR_TOO_MANY_REDIRECTS' },
    'ignored',
    3,
    3,
    3,
  ],
  [
    'a redirect that is not followed',
    { path: '/fault/redirect', config: { maxRedirects: 0 } },
    'success',
    1,
    1,
    1,
  ],
  [
    'an answer over maxContentLength',
    { path: '/fault/large', config: { maxContentLength: 1_000 }, code: 'ERR_BAD_RESPONSE' },
    'ignored',
    1,
    1,
    1,
  ],
  [
    'a body over maxBodyLength',
    {
      config: { maxBodyLength: 1, data: 'too long' },
      code: /ERR_FR_MAX_BODY_LENGTH_EXCEEDED|ERR_BAD_REQUEST/,
    },
    'ignored',
    0,
    0,
    0,
  ],
  [
    'JSON that is none',
    { path: '/fault/json', config: asJson, code: 'ERR_BAD_RESPONSE' },
    'ignored',
    1,
    1,
    1,
  ],
  [
    'an invalid URL',
    { baseURL: async () => 'http://a b', code: 'ERR_INVALID_URL' },
    'ignored',
    0,
    0,
    0,
  ],
  [
    'an unknown protocol',
    { baseURL: async () => 'gopher://h', code: 'ERR_BAD_REQUEST' },
    'ignored',
    0,
    0,
    0,
  ],
  [
    'a certificate that is not trusted',
    { baseURL: selfSigned, code: /SELF_SIGNED|UNABLE_TO_VERIFY|DEPTH_ZERO/ },
    'failure',
    0,
    0,
    0,
  ],
  [
    'plain text where TLS was expected',
    { baseURL: notTls, code: /EPROTO|ERR_SSL/ },
    'failure',
    0,
    0,
    0,
  ],
];

describe('classification', () => {
  describe.each(rows)('%s', (_name, fault, kind, get, post, idempotentPost) => {
    it(`is ${kind}, with ${get} GET, ${post} POST and ${idempotentPost} idempotent POST in three attempts`, async () => {
      const http = await service({
        handlers: {
          '/status': (_request, response) => void response.writeHead(fault.status ?? 200).end(),
        },
      });
      const baseURL = (await fault.baseURL?.()) ?? http.origin;
      const request: AxiosRequestConfig = {
        url: fault.path ?? '/status',
        ...fault.config,
      };
      const bare = axios.create({ baseURL });
      const outcome = await bare.request(request).then(
        (value) => ({ ok: true, value, duration: 0 }) as const,
        (error) => ({ ok: false, error, duration: 0 }) as const,
      );
      if (fault.code !== undefined) {
        expect(outcome.ok ? 'resolved' : outcome.error.code).toMatch(fault.code);
      }
      const call = { attributes: {}, idempotent: undefined } as never;
      expect(classify(outcome, call)).toMatchObject({ kind });

      const api = resilient(axios.create({ baseURL }), quick);
      const attempts = async (config: AxiosRequestConfig): Promise<number> =>
        1 + (await retriesOf(() => api.request({ ...request, ...config })));
      const sent = async (config: AxiosRequestConfig): Promise<number> => {
        http.resetCounters();
        const number = await attempts(config);
        return baseURL === http.origin ? http.counters().hits : number;
      };
      const expected = (number: number): number =>
        baseURL === http.origin ? number : Math.max(1, number);
      expect(await sent({ method: 'get' })).toBe(expected(get));
      expect(await sent({ method: 'post' })).toBe(expected(post));
      expect(await sent({ method: 'post', resilience: { idempotent: true } })).toBe(
        expected(idempotentPost),
      );
    });
  });

  it('repeats a POST with an Idempotency-Key', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin }), quick);
    await failureOf(api.post('/orders', {}, { headers: { 'Idempotency-Key': 'a1' } }));
    expect(http.counters().hits).toBe(3);
  });

  it('does not repeat a GET that is marked not idempotent', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin }), quick);
    await failureOf(api.get('/next-number', { resilience: { idempotent: false } }));
    expect(http.counters().hits).toBe(1);
  });

  it('does not repeat a POST that attemptTimeout cut short', async () => {
    const http = await service();
    const api = resilient(axios.create({ baseURL: http.origin }), {
      ...quick,
      attemptTimeout: 200,
    });
    expect((await failureOf(api.post('/fault/hang'))).code).toBe('RESIL_TIMEOUT');
    expect(http.counters().hits).toBe(1);
    await failureOf(api.put('/fault/hang'));
    expect(http.counters().hits).toBe(4);
  });

  it('takes a connection that is closed in its TLS handshake for not sent', async () => {
    const origin = await listening(
      createServer((socket) => socket.on('error', () => {}).once('data', () => socket.destroy())),
    );
    const api = resilient(axios.create({ baseURL: origin.replace('http:', 'https:') }), quick);
    expect(await retriesOf(() => api.post('/x'))).toBe(2);
  });

  describe('over fetch', () => {
    it.each<[string, string, number, number]>([
      ['a refused connection', 'refused', 2, 2],
      ['a reset', '/fault/reset', 2, 0],
      ['a body that is cut', '/fault/cut', 2, 0],
      ['a timeout', '/fault/hang', 2, 0],
      ['a 503', '/status', 2, 0],
    ])('repeats GET and POST after %s as it should', async (_name, path, get, post) => {
      const http = await service({
        handlers: { '/status': (_request, response) => void response.writeHead(503).end() },
      });
      const baseURL = path === 'refused' ? await refused() : http.origin;
      const api = resilient(
        axios.create({ baseURL, adapter: 'fetch', timeout: path === '/fault/hang' ? 200 : 0 }),
        quick,
      );
      const url = path === 'refused' ? '/' : path;
      expect(await retriesOf(() => api.get(url))).toBe(get);
      expect(await retriesOf(() => api.post(url, { a: 1 }))).toBe(post);
    });
  });

  it('counts failures that resolve, and gives the last of them', async () => {
    const http = await service({ faults: { statusRatio: 1 } });
    const api = resilient(axios.create({ baseURL: http.origin, ...any }), {
      ...quick,
      circuitBreaker: { failureThreshold: 3, resetTimeout: 60_000 },
    });
    const { status: last } = await api.get('/x');
    expect(last).toBe(503);
    expect(http.counters().hits).toBe(3);
    expect((await failureOf(api.get('/x'))).code).toBe('RESIL_CIRCUIT_OPEN');
    expect(http.counters().hits).toBe(3);
  });

  it.each([404, 429, 501])('does not open the circuit on %i', async (code) => {
    const http = await service({ faults: { statusRatio: 1, status: code } });
    const api = resilient(axios.create({ baseURL: http.origin }), {
      ...quick,
      retry: false,
      circuitBreaker: { failureThreshold: 1, resetTimeout: 60_000 },
    });
    for (let call = 0; call < 5; call++) await failureOf(api.get('/x'));
    expect(http.counters().hits).toBe(5);
  });

  it('opens the circuit of one origin only', async () => {
    const bad = await service({ faults: { statusRatio: 1 } });
    const good = await service();
    const api = resilient(axios.create(), {
      ...quick,
      circuitBreaker: { failureThreshold: 1, resetTimeout: 60_000 },
    });
    await failureOf(api.get(`${bad.origin}/x`));
    expect((await failureOf(api.get(`${bad.origin}/y`))).code).toBe('RESIL_CIRCUIT_OPEN');
    await api.get(`${good.origin}/x`);
  });
});

/** How often a call is repeated. */
async function retriesOf(call: () => Promise<unknown>): Promise<number> {
  let retries = 0;
  const end = observe((event) => {
    if (event.type === 'retry.scheduled') retries++;
  });
  await call().catch(() => {});
  end();
  return retries;
}

/** Origin of a server that is closed when the test ends. */
async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function refused(): Promise<string> {
  return `http://127.0.0.1:${await closedPort()}`;
}

async function selfSigned(): Promise<string> {
  const server = createTlsServer(selfSignedCertificate(), (_request, response) => response.end());
  return (await listening(server)).replace('http:', 'https:');
}

async function notTls(): Promise<string> {
  const http = await service();
  return `https://127.0.0.1:${http.port}`;
}
