import { Readable } from 'node:stream';
import axios from 'axios';
import NpmFormData from 'form-data';
import { describe, expect, it, vi } from 'vitest';
import { resilient } from '../src/index.js';
import { failureOf, quick, service } from './service.js';

/** A service that answers 503 until the third request, and what it got. */
async function flaky(times = 2): Promise<Awaited<ReturnType<typeof service>>> {
  let left = times;
  return service({
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
}

const text = 'thirty bytes of a stream, exact';
const opened = (): Readable => Readable.from([Buffer.from(text)]);

describe('bodies', () => {
  const form = (): FormData => {
    const made = new FormData();
    made.append('field', 'value');
    made.append('file', new Blob(['content']), 'a.txt');
    return made;
  };
  it.each<[string, () => unknown]>([
    ['an object', () => ({ a: 1 })],
    ['a string', () => 'text'],
    ['a Buffer', () => Buffer.from(text)],
    ['an ArrayBuffer', () => new TextEncoder().encode(text).buffer],
    ['a Uint8Array', () => new TextEncoder().encode(text)],
    ['URLSearchParams', () => new URLSearchParams({ a: '1', b: '2' })],
    ['a Blob', () => new Blob([text])],
    ['a FormData', form],
  ])('sends %s again byte by byte', async (_name, make) => {
    for (const adapter of ['http', 'fetch']) {
      const http = await flaky();
      await resilient(axios.create({ baseURL: http.origin, adapter }), quick).put('/x', make());
      // Each sending of a form has a boundary of its own.
      const boundary = /(axios-[\d.]+-boundary-[\w-]{25}|formdata-undici-\d+)/g;
      const bodies = http.requests.map(({ body }) => body.toString().replace(boundary, ''));
      expect(bodies).toHaveLength(3);
      expect(bodies[0]?.length).toBeGreaterThan(0);
      expect(new Set(bodies).size).toBe(1);
    }
  });

  it('sends a stream once, never empty', async () => {
    const http = await flaky();
    const api = resilient(axios.create({ baseURL: http.origin }), quick);
    const error = await failureOf(api.put('/x', opened()));
    expect(error.response?.status).toBe(503);
    expect(http.requests.map(({ body }) => body.length)).toEqual([text.length]);
  });

  it('sends npm form-data once, never hanging', async () => {
    const http = await flaky();
    const api = resilient(axios.create({ baseURL: http.origin }), quick);
    const data = new NpmFormData();
    data.append('field', 'value');
    const error = await failureOf(api.post('/x', data, { resilience: { idempotent: true } }));
    expect(error.response?.status).toBe(503);
    expect(http.counters().hits).toBe(1);
  });

  it('does not send a stream again, even if the connection was refused', async () => {
    const http = await service();
    await http.stop();
    const api = resilient(axios.create({ baseURL: `http://127.0.0.1:${1}` }), quick);
    let made = 0;
    const body = new Readable({
      read() {
        made++;
        this.push(null);
      },
    });
    expect((await failureOf(api.put('/x', body))).code).toBe('ECONNREFUSED');
    expect(made).toBeLessThan(2);
  });

  it('asks a body factory for a new stream for each attempt, and closes those not read to the end', async () => {
    for (const adapter of ['http', 'fetch']) {
      const http = await flaky();
      const api = resilient(axios.create({ baseURL: http.origin, adapter }), quick);
      const streams: Readable[] = [];
      const body = vi.fn(() => {
        const stream = opened();
        streams.push(stream);
        return stream;
      });
      // undici sends a stream only if it is told that it may be half-duplex; axios does that.
      const { data } = await api.put('/x', undefined, { resilience: { body } });
      expect(data).toEqual({ size: text.length });
      expect(body).toHaveBeenCalledTimes(3);
      expect(http.requests.map((request) => request.body.length)).toEqual([
        text.length,
        text.length,
        text.length,
      ]);
      for (const stream of streams) expect(stream.readableEnded || stream.destroyed).toBe(true);
    }
  });

  it("sends the request's own data first where there is a factory too", async () => {
    const http = await flaky();
    const api = resilient(axios.create({ baseURL: http.origin }), quick);
    const body = vi.fn(() => Readable.from(['from the factory']));
    await api.put('/x', opened(), { resilience: { body } });
    expect(body).toHaveBeenCalledTimes(2);
    expect(http.requests.map((request) => request.body.toString())).toEqual([
      text,
      'from the factory',
      'from the factory',
    ]);
  });

  it('sends each body of a factory with its own length and boundary', async () => {
    const http = await flaky();
    const api = resilient(axios.create({ baseURL: http.origin }), quick);
    const bodies = ['a', 'longer', 'the longest'];
    await api.put('/x', undefined, { resilience: { body: () => bodies.shift() } });
    expect(http.requests.map((request) => request.body.toString())).toEqual([
      'a',
      'longer',
      'the longest',
    ]);

    const forms = await flaky();
    const upload = resilient(axios.create({ baseURL: forms.origin }), quick);
    await upload.put('/x', undefined, {
      resilience: {
        body: () => {
          const data = new NpmFormData();
          data.append('field', 'value');
          return data;
        },
      },
    });
    for (const { body, headers } of forms.requests) {
      const boundary = /boundary=(.*)$/.exec(headers['content-type'] ?? '')?.[1] as string;
      expect(body.toString()).toContain(`--${boundary}--`);
    }
    expect(forms.requests).toHaveLength(3);
  });

  it('closes the body of a factory that nobody read, when the call fails', async () => {
    const stream = opened();
    const api = resilient(axios.create({ baseURL: 'http://127.0.0.1:1' }), {
      ...quick,
      retry: false,
    });
    await failureOf(api.put('/x', undefined, { resilience: { body: () => stream } }));
    expect(stream.destroyed).toBe(true);
  });
});
