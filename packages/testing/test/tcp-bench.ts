/** Two ends of a TCP connection for tests of the proxy: a server that echoes, a client that remembers. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A server that sends back what it gets and remembers its sockets. */
export class EchoServer {
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

  async listen(port = 0): Promise<number> {
    await once(this.#server.listen(port, '127.0.0.1'), 'listening');
    return this.port;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

/** A client that collects what it gets and how its connection ended. */
export class Client {
  readonly socket: Socket;
  received = '';
  ended = false;
  error: string | undefined = undefined;
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
export const settle = (duration = 30): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, duration));

/** How a socket closes. */
export function closeOf(socket: Socket | undefined): Promise<'failed' | 'ended'> {
  return new Promise((resolve) => {
    socket?.on('close', (failed) => resolve(failed ? 'failed' : 'ended'));
  });
}
