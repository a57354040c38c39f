/**
 * Ports for servers that have to be told theirs before they start, and that get the same one back when they
 * are started again. They lie below those that systems give to outgoing connections (from 32,768 on Linux,
 * 49,152 elsewhere): one of those is free now and taken by anybody's connection before the server binds it.
 */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

const LOWEST = 12_000;
const BEYOND = 32_000;

/** Ports that nobody listens on; held together so that none is given twice. */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = [];
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(LOWEST, BEYOND);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue;
      throw error;
    }
    held.push(server);
    ports.push(port);
  }
  await Promise.all(
    held.map(async (server) => {
      server.close();
      await once(server, 'close');
    }),
  );
  return ports;
}
