/**
 * One connection through a fault proxy: the client's socket, the server's (opened once something may
 * flow), and a flow for each direction.
 */
import { connect, type Socket } from 'node:net';
import type { Clock, Random } from '@resil/core';
import {
  type ConnectionFaults,
  type ResolvedCut,
  type ResolvedFaults,
  resolveFaults,
} from './proxy-faults.js';
import { ProxyFlow } from './proxy-flow.js';
import { resetSocket } from './reset-socket.js';

/** Where a proxy forwards to. */
export interface ProxyTarget {
  /** Host of the server. Default: `'127.0.0.1'`. */
  readonly host?: string | undefined;
  /** Port of the server, 1 to 65535. */
  readonly port: number;
}

/** One connection that a client made to a fault proxy. */
export interface ProxyConnection {
  /** Number of the connection, counting from 1. */
  readonly id: number;
  /** Whether the client's side is open: it was neither ended nor reset, by the client or by a fault. */
  readonly open: boolean;
  /** Bytes of the client that went on to the server. */
  readonly requestBytes: number;
  /** Bytes of the server that went on to the client. */
  readonly responseBytes: number;
  /** Gives this connection faults of its own: those of the proxy no longer concern it. */
  set(faults: ConnectionFaults): void;
  /** Takes its own faults away: it follows the proxy again. */
  clear(): void;
  /** Ends both sides with an RST, at once. */
  reset(): void;
  /** Ends both sides with a FIN, at once. What is held back is lost. */
  close(): void;
}

/** What a connection needs of its proxy. */
export interface ConnectionHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly target: Required<ProxyTarget>;
  readonly faults: ResolvedFaults;
  onBytes(direction: 'request' | 'response', count: number): void;
  /** Both sockets are closed. */
  onClosed(connection: ProxiedConnection): void;
}

/** A {@link ProxyConnection} as its proxy sees it. */
export class ProxiedConnection implements ProxyConnection {
  readonly id: number;
  readonly #host: ConnectionHost;
  readonly #client: Socket;
  readonly #request: ProxyFlow;
  readonly #response: ProxyFlow;
  #upstream: Socket | undefined;
  #own: ResolvedFaults | undefined;
  #open = true;
  /** It can carry nothing any more: no server's side will be opened for it. */
  #finished = false;

  constructor(host: ConnectionHost, id: number, client: Socket) {
    this.id = id;
    this.#host = host;
    this.#client = client;
    this.#request = this.#flow('request');
    this.#response = this.#flow('response');
    client.on('error', () => {});
    client.on('end', () => {
      this.#open = false;
      this.#bury();
    });
    client.on('close', (failed) => {
      this.#open = false;
      this.#finished = true;
      if (failed && !this.#request.dead) this.#request.reset();
      else if (failed || this.#upstream?.connecting === true) this.#upstream?.destroy();
      this.#checkClosed();
    });
  }

  /** Begins to work; apart from the constructor, so that a hook can set faults before. */
  start(): void {
    this.#request.readFrom(this.#client);
    this.#response.writeTo(this.#client);
    this.#apply();
  }

  get open(): boolean {
    return this.#open;
  }

  get requestBytes(): number {
    return this.#request.bytes;
  }

  get responseBytes(): number {
    return this.#response.bytes;
  }

  set(faults: ConnectionFaults): void {
    this.#own = resolveFaults(faults, 'connection');
    this.#apply();
  }

  clear(): void {
    this.#own = undefined;
    this.#apply();
  }

  /** The proxy's faults have changed. */
  follow(): void {
    if (this.#own === undefined) this.#apply();
  }

  reset(): void {
    this.#finish();
    resetSocket(this.#client);
    if (this.#upstream !== undefined) resetSocket(this.#upstream);
  }

  close(): void {
    this.#finish();
    this.#client.end();
    this.#upstream?.destroy();
    // The client's own end has to be read; what comes before it is lost.
    this.#client.resume();
  }

  /** Ends everything without ceremony. */
  destroy(): void {
    this.#finish();
    this.#client.destroy();
    this.#upstream?.destroy();
  }

  #finish(): void {
    this.#open = false;
    this.#finished = true;
    this.#request.dispose();
    this.#response.dispose();
  }

  get #faults(): ResolvedFaults {
    return this.#own ?? this.#host.faults;
  }

  #apply(): void {
    const faults = this.#faults;
    const { cut } = faults;
    this.#bury();
    if (this.#finished) return;
    if (faults.mode === 'reset') this.reset();
    else if (faults.mode === 'close') this.close();
    else if (faults.mode === 'half-open') this.#halfOpen();
    else {
      this.#request.set(faults.request, cut?.direction === 'request' ? cut : undefined);
      this.#response.set(faults.response, cut?.direction === 'response' ? cut : undefined);
      this.#connect(faults);
    }
  }

  /**
   * Closes a connection that has fallen silent once its client has ended it, so that they don't pile
   * up; not while the fault lasts, because a client that waits for our end must go on waiting.
   */
  #bury(): void {
    const { request, response } = this.#faults;
    const flows = request.mode === 'forward' && response.mode === 'forward';
    const silent = this.#request.dead || this.#response.dead;
    if (!this.#open && silent && flows && this.#faults.mode !== 'half-open') this.destroy();
  }

  #halfOpen(): void {
    this.#finished = true;
    this.#request.kill();
    this.#response.kill();
    this.#upstream?.destroy();
  }

  /** Opens the server's side once something may flow. */
  #connect(faults: ResolvedFaults): void {
    if (this.#upstream !== undefined || this.#request.dead) return;
    if (faults.request.mode !== 'forward' && faults.response.mode !== 'forward') return;
    const upstream = connect({ ...this.#host.target, allowHalfOpen: true, noDelay: true });
    this.#upstream = upstream;
    upstream.on('error', () => {});
    upstream.on('connect', () => this.#request.writeTo(upstream));
    upstream.on('close', (failed) => {
      if (failed) this.#response.reset();
      this.#checkClosed();
    });
    this.#response.readFrom(upstream);
  }

  #flow(direction: 'request' | 'response'): ProxyFlow {
    const { clock, random, faults } = this.#host;
    return new ProxyFlow(
      {
        clock,
        random,
        onBytes: (count) => this.#host.onBytes(direction, count),
        onCut: (by) => this.#onCut(by),
      },
      faults[direction],
      undefined,
    );
  }

  #onCut(by: ResolvedCut['by']): void {
    if (this.#finished) return;
    if (by === 'reset') this.reset();
    else if (by === 'close') this.close();
    else if (by === 'half-open') this.#halfOpen();
  }

  #checkClosed(): void {
    if (!this.#client.closed || this.#upstream?.closed === false) return;
    this.#finish();
    this.#host.onClosed(this);
  }
}
