import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, EchoServer } from '../test/tcp-bench.js';
import { type FaultProxy, type FaultProxyOptions, faultProxy } from './fault-proxy.js';
import type { ProxyFaults } from './proxy-faults.js';

const server = new EchoServer();
let proxy: FaultProxy;

beforeAll(async () => {
  proxy = await faultProxy({ target: { port: await server.listen() } });
});

afterAll(async () => {
  await proxy.close();
  await server.close();
});

describe('faultProxy', () => {
  describe('options', () => {
    it.each([
      [undefined, 'faultProxy options must be an object, but got undefined'],
      [{}, 'faultProxy.target must be given, but got undefined'],
      [{ target: {} }, 'faultProxy.target.port must be given, but got undefined'],
      [{ target: { port: 0 } }, 'faultProxy.target.port must be a port from 1 to 65535, but got 0'],
      [
        { target: { port: 1, hots: 'x' } },
        'faultProxy.target.hots is not an option; known are host, port',
      ],
      [
        { target: { port: 1 }, port: 70_000 },
        'faultProxy.port must be a port from 0 to 65535, but got 70000',
      ],
      [{ target: { port: 1 }, latency: 5 }, 'faultProxy.latency is not an option'],
      [
        { target: { port: 1 }, faults: { delay: -1 } },
        'faults.delay must be a number of milliseconds of at least 0, but got -1',
      ],
      [
        { target: { port: 1 }, onConnection: 1 },
        'faultProxy.onConnection must be a function, but got 1',
      ],
      [{ target: { port: 1 }, clock: {} }, 'faultProxy.clock must be a Clock'],
    ])('refuses %o', async (options, message) => {
      await expect(faultProxy(options as FaultProxyOptions)).rejects.toThrow(message);
    });

    it.each([
      [{ latency: 5 }, 'faults.latency is not an option; known are'],
      [
        { mode: 'broken' },
        "faults.mode must be one of 'forward', 'black-hole', 'stall', 'half-open', 'reset', 'close', 'refuse', but got 'broken'",
      ],
      [
        { delay: Number.NaN },
        'faults.delay must be a number of milliseconds of at least 0, but got NaN',
      ],
      [
        { jitterDelay: Number.POSITIVE_INFINITY },
        'faults.jitterDelay must be a number of milliseconds of at least 0, but got Infinity',
      ],
      [
        { bytesPerSecond: 0 },
        'faults.bytesPerSecond must be a number above 0, or Infinity, but got 0',
      ],
      [
        { request: { delay: '5' } },
        "faults.request.delay must be a number of milliseconds of at least 0, but got '5'",
      ],
      [
        { response: { mode: 'reset' } },
        "faults.response.mode must be one of 'forward', 'black-hole', 'stall', but got 'reset'",
      ],
      [{ cut: 5 }, 'faults.cut must be an object that says where, but got 5'],
      [
        { cut: { afterBytes: 1.5 } },
        'faults.cut.afterBytes must be a whole number of at least 0, but got 1.5',
      ],
      [
        { cut: { afterPattern: '' } },
        "faults.cut.afterPattern must be a string or bytes, at least one, but got ''",
      ],
      [{ cut: { by: 'refuse' } }, 'faults.cut.by must be one of'],
    ])('set refuses %o and keeps the faults', async (faults, message) => {
      expect(() => proxy.set(faults as ProxyFaults)).toThrow(message);
      const client = new Client(proxy.port);
      client.socket.write('still there');
      await client.until(() => client.received === 'still there');
      client.socket.destroy();
    });

    it('a connection can not be set to refuse', async () => {
      const client = new Client(proxy.port);
      await expect.poll(() => proxy.open).toBe(1);
      expect(() => proxy.connections[0]?.set({ mode: 'refuse' } as object)).toThrow(
        'faults.mode must be one of',
      );
      client.socket.destroy();
    });

    it('rejects when the port is taken', async () => {
      await expect(
        faultProxy({ target: { port: server.port }, port: server.port }),
      ).rejects.toMatchObject({ code: 'EADDRINUSE' });
    });
  });
});
