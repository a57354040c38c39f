import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Client, EchoServer, settle } from '../test/tcp-bench.js';
import { type FaultProxy, type FaultProxyOptions, faultProxy } from './fault-proxy.js';
import { seededRandom } from './seeded-random.js';
import { VirtualClock } from './virtual-clock.js';

let server: EchoServer;
let proxy: FaultProxy;
let clock: VirtualClock;
const clients: Client[] = [];

async function open(): Promise<Client> {
  const client = new Client(proxy.port);
  clients.push(client);
  await once(client.socket, 'connect');
  return client;
}

async function restart(options: Partial<FaultProxyOptions>): Promise<void> {
  await proxy.close();
  proxy = await faultProxy({ target: { port: server.port }, clock, ...options });
}

/** Waits until the proxy holds something back. */
const held = (): Promise<void> => expect.poll(() => clock.pending).toBeGreaterThan(0);

beforeEach(async () => {
  clock = new VirtualClock();
  server = new EchoServer();
  proxy = await faultProxy({ target: { port: await server.listen() }, clock });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  await proxy.close();
  await server.close();
});

describe('delay', () => {
  it('holds back each direction for as long as it says', async () => {
    await proxy.set({ request: { delay: 100 }, response: { delay: 30 } });
    const client = await open();
    client.socket.write('ping');
    await held();
    await clock.advance(99);
    expect(server.received).toBe(0);
    await clock.advance(1);
    await expect.poll(() => server.received).toBe(4);
    await held();
    await clock.advance(29);
    await settle();
    expect(client.received).toBe('');
    await clock.advance(1);
    await client.until(() => client.received === 'ping');
  });

  it('is measured in real milliseconds by default', async () => {
    await restart({ clock: undefined, faults: { delay: 50 } });
    const client = await open();
    const start = performance.now();
    client.socket.write('ping');
    await client.until(() => client.received === 'ping');
    expect(performance.now() - start).toBeGreaterThan(95);
  });

  it('concerns the end of a stream too', async () => {
    await proxy.set({ request: { delay: 100 } });
    const client = await open();
    client.socket.end('bye');
    await held();
    await clock.advance(99);
    expect([server.received, client.ended]).toEqual([0, false]);
    await clock.advance(1);
    await client.until(() => client.received === 'bye' && client.ended);
  });

  it('can be changed while bytes are held back: they leave at once when it is taken away', async () => {
    const client = await open();
    await proxy.set({ delay: 3_600_000 });
    client.socket.write('one ');
    await held();
    await proxy.set({ delay: 10 });
    client.socket.write('two ');
    await clock.advance(10);
    await expect.poll(() => server.received).toBeGreaterThanOrEqual(4);
    await proxy.clear();
    client.socket.write('three');
    await client.until(() => client.received === 'one two three');
  });

  it('keeps the order of bytes under jitter, also when it is switched', async () => {
    await restart({ random: seededRandom(3), faults: { delay: 10, jitterDelay: 500 } });
    const client = await open();
    let sent = '';
    for (let part = 0; part < 40; part += 1) {
      const before = proxy.requestBytes;
      client.socket.write(`${part};`);
      sent += `${part};`;
      // Each part on its way before the next one, so that each draws for itself.
      await settle(1);
      if (part % 10 === 5) await clock.advance(60);
      if (part === 20) await proxy.set({ delay: 0, jitterDelay: 50 });
      if (part === 30) await proxy.set({ delay: 300 });
      expect(proxy.requestBytes).toBeGreaterThanOrEqual(before);
    }
    while (client.received.length < sent.length) {
      await clock.advance(100);
      await settle(1);
    }
    expect(client.received).toBe(sent);
  });
});

describe('bytesPerSecond', () => {
  it('lets that many pass, in even slices', async () => {
    await proxy.set({ request: { bytesPerSecond: 1_000 } });
    const client = await open();
    client.socket.write('x'.repeat(1_000));
    await held();
    for (const [after, least, most] of [
      [250, 230, 310],
      [500, 480, 560],
      [750, 730, 810],
    ] as const) {
      await clock.advanceTo(after);
      expect(proxy.requestBytes).toBeGreaterThan(least);
      expect(proxy.requestBytes).toBeLessThan(most);
    }
    await clock.advanceTo(1_000);
    await client.until(() => client.received.length === 1_000);
  });

  it('can be as slow as a trickle, and be lifted in the middle', async () => {
    const client = await open();
    await proxy.set({ response: { bytesPerSecond: 2 } });
    client.socket.write('trickle');
    await held();
    await clock.advance(1_000);
    await client.until(() => client.received.length >= 2);
    await settle();
    expect(client.received.length).toBeLessThanOrEqual(4);
    await proxy.clear();
    await client.until(() => client.received === 'trickle');
  });
});

describe('cut', () => {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789';

  it.each([
    ['reset', { error: 'ECONNRESET' }],
    ['close', { error: undefined, ended: true }],
  ] as const)('by %s after so many bytes of the response', async (by, end) => {
    await proxy.set({ cut: { afterBytes: 5, by } });
    const client = await open();
    client.socket.write(answer);
    await client.until(() => client.ended || client.socket.closed);
    expect(client).toMatchObject({ received: answer.slice(0, 5), ...end });
  });

  it.each(['half-open', 'black-hole', 'stall'] as const)('by %s: silence', async (by) => {
    await proxy.set({ cut: { afterBytes: 5, by } });
    const client = await open();
    client.socket.write(answer);
    await client.until(() => client.received.length >= 5);
    await settle();
    expect(client).toMatchObject({ received: answer.slice(0, 5), error: undefined, ended: false });
    await proxy.clear();
    if (by === 'stall') await client.until(() => client.received === answer);
    else {
      client.socket.write('more');
      await settle();
      expect(client.received).toBe(answer.slice(0, 5));
    }
  });

  it('after a pattern, however it arrives, and bytes behind it', async () => {
    const expected = answer.slice(0, answer.indexOf('\r\n\r\n') + 4 + 3);
    for (const size of [1_000, 7, 3, 1]) {
      await proxy.set({
        response: { bytesPerSecond: size * 50 },
        cut: { afterPattern: '\r\n\r\n', afterBytes: 3, by: 'close' },
      });
      const client = await open();
      client.socket.write(answer);
      while (!client.ended) {
        await clock.advance(20);
        await settle(1);
      }
      expect(client.received).toBe(expected);
    }
  });

  it('after a pattern of bytes, and not without it', async () => {
    await proxy.set({ cut: { afterPattern: new Uint8Array([0, 255]), by: 'close' } });
    const client = await open();
    client.socket.write(Buffer.from([1, 0, 0]));
    await client.until(() => client.received.length === 3);
    client.socket.write(Buffer.from([255, 7]));
    await client.until(() => client.ended);
    expect(Buffer.from(client.received, 'latin1')).toEqual(Buffer.from([1, 0, 0, 255]));
  });

  it('of the request: the server gets the beginning only', async () => {
    await proxy.set({ cut: { direction: 'request', afterBytes: 3 } });
    const client = await open();
    client.socket.write('request');
    await client.until(() => client.socket.closed);
    expect([client.error, proxy.requestBytes]).toEqual(['ECONNRESET', 3]);
  });

  it('of an open connection counts from when it was set, and each new one is cut too', async () => {
    const client = await open();
    client.socket.write('before');
    await client.until(() => client.received === 'before');
    await proxy.set({ cut: { afterBytes: 2, by: 'close' } });
    client.socket.write('after');
    await client.until(() => client.ended);
    expect(client.received).toBe('beforeaf');
    const second = await open();
    second.socket.write('after');
    await second.until(() => second.ended);
    expect(second.received).toBe('af');
  });

  it('happens after the delay of what comes before it', async () => {
    await proxy.set({ response: { delay: 50 }, cut: { afterBytes: 2, by: 'close' } });
    const client = await open();
    client.socket.write('late');
    await held();
    await clock.advance(49);
    await settle();
    expect(client).toMatchObject({ received: '', ended: false });
    await clock.advance(1);
    await client.until(() => client.ended);
    expect(client.received).toBe('la');
  });
});

describe('one direction', () => {
  it('a black hole for responses: the server gets the request, the client no answer', async () => {
    const client = await open();
    await proxy.set({ response: { mode: 'black-hole' } });
    client.socket.write('commit');
    await expect.poll(() => server.received).toBe(6);
    await settle();
    expect(client.received).toBe('');
    await proxy.clear();
    client.socket.write('again');
    await expect.poll(() => server.received).toBe(11);
    await settle();
    expect(client.received).toBe('');
  });

  it('a stall of requests only', async () => {
    const client = await open();
    client.socket.write('a');
    await client.until(() => client.received === 'a');
    await proxy.set({ request: { mode: 'stall' } });
    client.socket.write('b');
    server.sockets[0]?.write('from the server');
    await client.until(() => client.received === 'afrom the server');
    expect(server.received).toBe(1);
    await proxy.clear();
    await client.until(() => client.received.endsWith('b'));
  });
});

describe('large transfers', () => {
  it('come through unchanged under delay, jitter and a change of both', async () => {
    await restart({
      clock: undefined,
      random: seededRandom(1),
      faults: { delay: 1, jitterDelay: 3 },
    });
    const data = randomBytes(4_000_000);
    const sent = createHash('sha256').update(data).digest('hex');
    const received = createHash('sha256');
    const client = await open();
    let count = 0;
    const done = new Promise<void>((resolve) => {
      client.socket.on('data', (chunk) => {
        received.update(chunk);
        count += chunk.length;
        if (count > 1_000_000 && proxy.connections.length === 1) void proxy.set({ jitterDelay: 1 });
        if (count === data.length) resolve();
      });
    });
    client.socket.write(data);
    await done;
    expect(received.digest('hex')).toBe(sent);
  });

  it('are not read faster than the other side takes them', async () => {
    let reader: Socket | undefined;
    const slow = createServer((socket) => {
      reader = socket;
      socket.pause();
    });
    await once(slow.listen(0, '127.0.0.1'), 'listening');
    proxy.retarget({ port: (slow.address() as { port: number }).port });
    const client = await open();
    const size = 64_000_000;
    client.socket.write(Buffer.alloc(size));
    let last = -1;
    while (client.socket.bytesWritten - client.socket.writableLength !== last) {
      last = client.socket.bytesWritten - client.socket.writableLength;
      await settle();
    }
    // What the systems' socket buffers take differs; the rest has to wait at the client.
    expect(client.socket.writableLength).toBeGreaterThan(0);
    expect(proxy.requestBytes).toBeLessThan(size);
    let received = 0;
    reader?.on('data', (chunk) => {
      received += chunk.length;
    });
    reader?.resume();
    await expect.poll(() => received, { timeout: 10_000 }).toBe(size);
    reader?.destroy();
    slow.close();
  });
});
