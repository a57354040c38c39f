/** A client's requests, seen on their way into its sockets; kafkajs writes one request at a time. */
import { connect, type Socket } from 'node:net';

/** Keys of the Kafka protocol. */
export const API = { produce: 0, endTxn: 26 } as const;

/** A `socketFactory` for `new Kafka`. */
export class WatchedSockets {
  requests = 0;
  connects = 0;
  readonly #counts = new Map<number, number>();
  #before: ((apiKey: number) => Promise<unknown> | undefined) | undefined;

  /** Runs before each request leaves, which waits for what it gives. */
  before(watch: ((apiKey: number) => Promise<unknown> | undefined) | undefined): void {
    this.#before = watch;
  }

  /** Requests of a kind, since the last `reset`. */
  count(apiKey: number): number {
    return this.#counts.get(apiKey) ?? 0;
  }

  reset(): void {
    this.#counts.clear();
  }

  readonly factory = (to: { host: string; port: number; onConnect(): void }): Socket => {
    this.connects += 1;
    const socket = connect({ host: to.host, port: to.port }, to.onConnect);
    const write = socket.write.bind(socket) as (...data: unknown[]) => boolean;
    socket.write = (...data: unknown[]): boolean => {
      this.requests += 1;
      // Its length, then its key.
      const apiKey = (data[0] as Buffer).readInt16BE(4);
      this.#counts.set(apiKey, this.count(apiKey) + 1);
      const first = this.#before?.(apiKey);
      if (first === undefined) return write(...data);
      void first.then(() => write(...data));
      return true;
    };
    return socket;
  };
}
