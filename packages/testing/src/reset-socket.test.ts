import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Client, EchoServer } from '../test/tcp-bench.js';
import { resetSocket } from './reset-socket.js';

describe('resetSocket', () => {
  it('never looks like an orderly end to the peer', async () => {
    const server = new EchoServer();
    await server.listen();
    for (let round = 0; round < 50; round += 1) {
      const client = new Client(server.port);
      client.socket.write('hi');
      await client.until(() => client.received === 'hi');
      resetSocket(server.sockets[round]!);
      await client.closed;
      expect(client).toMatchObject({ ended: false, error: 'ECONNRESET' });
    }
    await server.close();
  });

  it('closes a socket that is connecting, ending or closed', async () => {
    const server = createServer((socket) => socket.pause());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as { port: number };
    const connecting = new Client(port);
    resetSocket(connecting.socket);
    await connecting.closed;
    const ending = new Client(port);
    await once(ending.socket, 'connect');
    ending.socket.end(Buffer.alloc(32_000_000));
    resetSocket(ending.socket);
    await ending.closed;
    resetSocket(ending.socket);
    expect([connecting.error, ending.error]).toEqual([undefined, undefined]);
    server.close();
  });
});
