import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FaultProxy, faultProxy } from './fault-proxy.js';

/** A server that sends back what it gets and remembers its sockets. */
class EchoServer {
  readonly sockets: Socket[] = [];
  received = 0;
  readonly #server: Server = createServer((socket) => {
    this.sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      this.received += chunk.length;
    });
    socket.pipe(socket);
  });

  async listen(): Promise<number> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    return (this.#server.address() as { port: number }).port;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

/** A client that collects what it gets and how its connection ended. */
class Client {
  readonly socket: Socket;
  received = '';
  ended = false;
  error: string | undefined;
  readonly closed: Promise<void>;
  #changed = new Set<() => void>();

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const change = (): void => {
      for (const listener of this.#changed) listener();
    };
    this.socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1');
      change();
    });
    this.socket.on('end', () => {
      this.ended = true;
      change();
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message;
    });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', () => {
        resolve();
        change();
      });
    });
  }

  /** Waits until the condition holds; the test's own timeout is the bound. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return;
        this.#changed.delete(check);
        resolve();
      };
      this.#changed.add(check);
      check();
    });
  }
}

/** Long enough for loopback to carry what it is going to carry. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 30));

/** How a socket closes. */
function closeOf(socket: Socket | undefined): Promise<'failed' | 'ended'> {
  return new Promise((resolve) => {
    socket?.on('close', (failed) => resolve(failed ? 'failed' : 'ended'));
  });
}

let server: EchoServer;
let proxy: FaultProxy;
const clients: Client[] = [];

async function open(): Promise<Client> {
  const client = new Client(proxy.port);
  clients.push(client);
  await once(client.socket, 'connect');
  return client;
}

/** An open connection that has carried something. */
async function talk(): Promise<Client> {
  const client = await open();
  client.socket.write('hi;');
  await client.until(() => client.received === 'hi;');
  return client;
}

beforeEach(async () => {
  server = new EchoServer();
  proxy = await faultProxy({ target: { port: await server.listen() } });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  await proxy.close();
  await server.close();
});

describe('faultProxy', () => {
  describe('without faults', () => {
    it('passes bytes both ways and counts them', async () => {
      const client = await talk();
      expect(client.received).toBe('hi;');
      expect(proxy).toMatchObject({ opened: 1, open: 1, requestBytes: 3, responseBytes: 3 });
    });

    it('passes the end of one direction and lets the other go on', async () => {
      const client = await open();
      client.socket.end('last words');
      await client.until(() => client.ended);
      expect(client.received).toBe('last words');
      await client.closed;
      expect(client.error).toBeUndefined();
      expect(proxy.open).toBe(0);
    });

    it("passes the server's reset on", async () => {
      const client = await talk();
      server.sockets[0]?.resetAndDestroy();
      await client.closed;
      expect(client.error).toBe('ECONNRESET');
    });

    it("passes the client's reset on", async () => {
      const client = await talk();
      const closed = closeOf(server.sockets[0]);
      client.socket.resetAndDestroy();
      expect(await closed).toBe('failed');
      expect(proxy.open).toBe(0);
    });

    it('resets the client when nothing listens behind it', async () => {
      await server.close();
      const client = await open();
      await client.closed;
      expect(client.error).toBe('ECONNRESET');
      server = new EchoServer();
    });
  });

  describe('mode', () => {
    it('black-hole: reads and loses everything, also of an open connection, and stays silent after', async () => {
      const client = await talk();
      await proxy.set({ mode: 'black-hole' });
      client.socket.write('lost');
      const second = await open();
      second.socket.write('lost too');
      await settle();
      expect([client.received, second.received, server.received]).toEqual(['hi;', '', 3]);
      expect(server.sockets).toHaveLength(1);
      await proxy.clear();
      client.socket.write('after the gap');
      await settle();
      expect(client.received).toBe('hi;');
      expect(await talk()).toMatchObject({ received: 'hi;' });
    });

    it('black-hole: a connection that lost nothing goes on when it is cleared', async () => {
      const client = await talk();
      await proxy.set({ mode: 'black-hole' });
      const second = await open();
      await proxy.clear();
      client.socket.write('more');
      second.socket.write('new');
      await client.until(() => client.received === 'hi;more');
      await second.until(() => second.received === 'new');
    });

    it('stall: reads nothing, and loses nothing', async () => {
      const client = await talk();
      await proxy.set({ mode: 'stall' });
      client.socket.write('held');
      const second = await open();
      second.socket.write('held too');
      await settle();
      expect([client.received, second.received, server.received]).toEqual(['hi;', '', 3]);
      await proxy.clear();
      await client.until(() => client.received === 'hi;held');
      await second.until(() => second.received === 'held too');
    });

    it("half-open: closes the server's side only, for good", async () => {
      const client = await talk();
      const gone = closeOf(server.sockets[0]);
      await proxy.set({ mode: 'half-open' });
      await gone;
      client.socket.write('anybody there?');
      await settle();
      await proxy.clear();
      client.socket.write('hello?');
      await settle();
      expect(client).toMatchObject({ received: 'hi;', ended: false, error: undefined });
      expect(proxy.open).toBe(1);
      expect(await talk()).toMatchObject({ received: 'hi;' });
    });

    it('reset: ends open connections and new ones with ECONNRESET', async () => {
      const client = await talk();
      const gone = closeOf(server.sockets[0]);
      await proxy.set({ mode: 'reset' });
      await Promise.all([client.closed, gone]);
      const second = new Client(proxy.port);
      await second.closed;
      expect([client.error, second.error]).toEqual(['ECONNRESET', 'ECONNRESET']);
      await proxy.clear();
      expect(await talk()).toMatchObject({ received: 'hi;' });
    });

    it('close: ends open connections and new ones without an error', async () => {
      const client = await talk();
      await proxy.set({ mode: 'close' });
      const second = await open();
      for (const each of [client, second]) {
        await each.until(() => each.ended);
        each.socket.end();
        await each.closed;
        expect(each.error).toBeUndefined();
      }
      await proxy.clear();
      expect(await talk()).toMatchObject({ received: 'hi;' });
    });

    it('refuse: refuses new connections, lets open ones go on, and listens again on the same port', async () => {
      const client = await talk();
      const { port } = proxy;
      await proxy.set({ mode: 'refuse' });
      const second = new Client(port);
      await second.closed;
      expect(second.error).toBe('ECONNREFUSED');
      client.socket.write('still here');
      await client.until(() => client.received === 'hi;still here');
      await proxy.clear();
      expect(proxy.port).toBe(port);
      expect(await talk()).toMatchObject({ received: 'hi;' });
    });
  });
});
