import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FaultProxy, faultProxy } from '../src/index.js';

interface Answer {
  readonly status: number | undefined;
  readonly body: string;
  readonly error: string | undefined;
}

const LENGTH = 100_000;
let server: Server;
let proxy: FaultProxy;
let agent: Agent;
let requests = 0;

/** One request on the keep-alive connection, and how it ended. */
function request(timeout?: number): Promise<Answer> {
  return new Promise((resolve) => {
    let body = '';
    let response: IncomingMessage | undefined;
    const settle = (error?: NodeJS.ErrnoException): void => {
      resolve({ status: response?.statusCode, body, error: error?.code });
    };
    const outgoing = get({ host: proxy.host, port: proxy.port, agent }, (incoming) => {
      response = incoming;
      incoming.on('data', (chunk) => {
        body += chunk;
      });
      incoming.on('end', () => settle());
      incoming.on('error', settle);
    });
    outgoing.on('error', settle);
    if (timeout !== undefined) {
      outgoing.setTimeout(timeout, () => {
        outgoing.destroy(Object.assign(new Error('silent'), { code: 'SILENT' }));
      });
    }
  });
}

beforeAll(async () => {
  server = createServer((_, response) => {
    requests += 1;
    response.end('x'.repeat(LENGTH));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  proxy = await faultProxy({ target: { port: (server.address() as AddressInfo).port } });
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
});

afterAll(async () => {
  agent.destroy();
  await proxy.close();
  server.closeAllConnections();
  server.close();
});

const good = { status: 200, body: 'x'.repeat(LENGTH), error: undefined };

describe('an HTTP client behind faultProxy, its keep-alive connection open', () => {
  it('is served', async () => {
    expect(await request()).toEqual(good);
    expect(await request()).toEqual(good);
    expect(proxy.opened).toBe(1);
  });

  it.each([
    [
      'a body cut by a reset',
      { cut: { afterPattern: '\r\n\r\n', afterBytes: 10 } },
      { status: 200, body: 'x'.repeat(10), error: 'ECONNRESET' },
    ],
    [
      'a body cut by an end',
      { cut: { afterPattern: '\r\n\r\n', afterBytes: 10, by: 'close' } },
      { status: 200, body: 'x'.repeat(10), error: 'ECONNRESET' },
    ],
    [
      'a body that stalls',
      { cut: { afterPattern: '\r\n\r\n', afterBytes: 10, by: 'stall' } },
      { status: 200, body: 'x'.repeat(10), error: 'SILENT' },
    ],
    [
      'a reset before the answer',
      { cut: { afterBytes: 0 } },
      { status: undefined, body: '', error: 'ECONNRESET' },
    ],
    ['a black hole', { mode: 'black-hole' }, { status: undefined, body: '', error: 'SILENT' }],
    [
      'a half-open connection',
      { mode: 'half-open' },
      { status: undefined, body: '', error: 'SILENT' },
    ],
    ['a stalled connection', { mode: 'stall' }, { status: undefined, body: '', error: 'SILENT' }],
    [
      'an answer that gets lost',
      { response: { mode: 'black-hole' } },
      { status: undefined, body: '', error: 'SILENT' },
    ],
  ] as const)('sees %s, and is served again afterwards', async (_, faults, expected) => {
    await request();
    const before = requests;
    await proxy.set(faults);
    expect(await request(300)).toEqual(expected);
    const reached = !('mode' in faults);
    expect(requests - before).toBe(reached ? 1 : 0);
    await proxy.clear();
    expect(await request()).toEqual(good);
  });

  it('sees a refused connection once its own is gone', async () => {
    await request();
    await proxy.set({ mode: 'refuse' });
    expect(await request()).toEqual(good);
    proxy.resetConnections();
    await expect.poll(async () => (await request()).error).toBe('ECONNREFUSED');
    await proxy.clear();
    expect(await request()).toEqual(good);
  });
});
