import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Client, closeOf, EchoServer, settle } from '../test/tcp-bench.js';
import { type FaultProxy, faultProxy } from './fault-proxy.js';
import { VirtualClock } from './virtual-clock.js';

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

  describe('connections', () => {
    it('onConnection gives a connection faults of its own', async () => {
      await proxy.close();
      const seen: number[] = [];
      proxy = await faultProxy({
        target: { port: server.port },
        onConnection: ({ id }) => {
          seen.push(id);
          return id === 1 ? { mode: 'reset' } : undefined;
        },
      });
      const first = new Client(proxy.port);
      await first.closed;
      expect(first.error).toBe('ECONNRESET');
      expect(await talk()).toMatchObject({ received: 'hi;' });
      expect(seen).toEqual([1, 2]);
    });

    it('set concerns one connection, and shields it from the faults of the proxy', async () => {
      const [one, two] = [await talk(), await talk()];
      const [first] = proxy.connections;
      first?.set({ mode: 'stall' });
      one.socket.write('held');
      two.socket.write('through');
      await two.until(() => two.received === 'hi;through');
      expect(one.received).toBe('hi;');
      first?.set({});
      await one.until(() => one.received === 'hi;held');
      await proxy.set({ mode: 'stall' });
      one.socket.write('!');
      await one.until(() => one.received === 'hi;held!');
      first?.clear();
      one.socket.write('?');
      await settle();
      expect(one.received).toBe('hi;held!');
      expect(first).toMatchObject({ id: 1, open: true, requestBytes: 8, responseBytes: 8 });
    });

    it('reset and close end one connection', async () => {
      const [one, two, three] = [await talk(), await talk(), await talk()];
      proxy.connections[0]?.reset();
      proxy.connections[1]?.close();
      await one.closed;
      await two.until(() => two.ended);
      expect([one.error, two.error]).toEqual(['ECONNRESET', undefined]);
      three.socket.write('on');
      await three.until(() => three.received === 'hi;on');
      expect(proxy).toMatchObject({ opened: 3, open: 1 });
    });

    it('resetConnections ends what is open, and lets new ones through', async () => {
      const clients = [await talk(), await talk()];
      proxy.resetConnections();
      await Promise.all(clients.map((client) => client.closed));
      expect(clients.map((client) => client.error)).toEqual(['ECONNRESET', 'ECONNRESET']);
      expect(proxy.open).toBe(0);
      expect(await talk()).toMatchObject({ received: 'hi;' });
    });

    it('a client that goes away is no longer counted, also while nothing is forwarded', async () => {
      const client = await talk();
      await proxy.set({ mode: 'black-hole' });
      client.socket.write('request');
      client.socket.destroy();
      await expect.poll(() => proxy.open).toBe(0);
    });

    it.each(['black-hole', 'half-open'] as const)(
      'a %s connection that its client has ended is dropped when the fault is over',
      async (mode) => {
        const [early, late] = [await talk(), await talk()];
        await proxy.set({ mode });
        early.socket.end('lost');
        late.socket.write('lost');
        await expect.poll(() => proxy.open).toBe(1);
        await settle();
        expect([early.ended, proxy.connections.length]).toEqual([false, 2]);
        await proxy.clear();
        await early.closed;
        late.socket.end();
        await late.closed;
        await expect.poll(() => proxy.connections.length).toBe(0);
      },
    );
  });

  it('retarget sends new connections to another server', async () => {
    const other = new EchoServer();
    const client = await talk();
    proxy.retarget({ port: await other.listen() });
    await talk();
    client.socket.write('old');
    await client.until(() => client.received === 'hi;old');
    expect([server.sockets.length, other.sockets.length]).toEqual([1, 1]);
    await other.close();
  });

  describe('close', () => {
    it('ends every connection in every state, frees the port, and leaves no timer', async () => {
      const clock = new VirtualClock();
      await proxy.close();
      proxy = await faultProxy({ target: { port: server.port }, clock });
      const open = [await talk()];
      for (const mode of ['black-hole', 'stall', 'half-open'] as const) {
        await proxy.set({ mode });
        open.push(new Client(proxy.port));
        await expect.poll(() => proxy.opened).toBe(open.length);
      }
      await proxy.set({ delay: 1_000 });
      const late = new Client(proxy.port);
      late.socket.write('in flight');
      await expect.poll(() => clock.pending).toBe(1);
      const { port } = proxy;
      await Promise.all([proxy.close(), proxy.close()]);
      expect(proxy.connections).toEqual([]);
      expect(clock.pending).toBe(0);
      await Promise.all(
        [...open, late].map((client) =>
          client.until(() => client.ended || client.error !== undefined),
        ),
      );
      for (const client of [...open, late]) client.socket.destroy();
      await expect.poll(() => server.sockets.every((socket) => socket.closed)).toBe(true);
      const refused = new Client(port);
      await refused.closed;
      expect(refused.error).toBe('ECONNREFUSED');
      await proxy.set({ delay: 5 });
    });

    it('happens at the end of an await using block', async () => {
      const own = await faultProxy({ target: { port: server.port } });
      await own[Symbol.asyncDispose]();
      const refused = new Client(own.port);
      await refused.closed;
      expect(refused.error).toBe('ECONNREFUSED');
    });
  });

  describe('refuse', () => {
    it('is undone in the order of the calls, awaited or not', async () => {
      const changes = [
        proxy.set({ mode: 'refuse' }),
        proxy.clear(),
        proxy.set({ mode: 'refuse' }),
        proxy.clear(),
      ];
      await Promise.all(changes);
      expect(await talk()).toMatchObject({ received: 'hi;' });
      void proxy.clear();
      await proxy.set({ mode: 'refuse' });
      const refused = new Client(proxy.port);
      await refused.closed;
      expect(refused.error).toBe('ECONNREFUSED');
    });

    it('waits for the port when somebody else has it for a moment', async () => {
      const { port } = proxy;
      await proxy.set({ mode: 'refuse' });
      const thief = new EchoServer();
      await thief.listen(port);
      const back = proxy.clear();
      await settle();
      await thief.close();
      await back;
      expect(await talk()).toMatchObject({ received: 'hi;' });
    });
  });
});
