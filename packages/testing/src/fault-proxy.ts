/**
 * A TCP proxy between any client and any server, on loopback, that breaks connections for real: it
 * delays, throttles, loses, cuts, resets, half-opens and refuses, switchable while connections are
 * open. What a client library does on a bad network shows only on a bad network; a mock shows what
 * its author expected.
 *
 * ```
 *              request: delay, jitter, bandwidth, black hole, stall
 *   client ==================== proxy ==================== server
 *              response: the same, and a cut in the middle
 * ```
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import {
  type Clock,
  checkOptions,
  clockRule,
  countRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  type OptionRule,
  type OptionRules,
  objectRule,
  type Random,
  systemClock,
  systemRandom,
} from '@resil/core';
import {
  type ConnectionHost,
  ProxiedConnection,
  type ProxyConnection,
  type ProxyTarget,
} from './proxy-connection.js';
import {
  type ConnectionFaults,
  type ProxyFaults,
  type ResolvedFaults,
  resolveFaults,
} from './proxy-faults.js';

/** Options of {@link faultProxy}. */
export interface FaultProxyOptions {
  /** The server behind the proxy. It need not be up. */
  readonly target: ProxyTarget;
  /** Address to listen on. Default: `faultProxyDefaults.host` (`'127.0.0.1'`). */
  readonly host?: string | undefined;
  /** Port to listen on; 0 lets the system choose. Default: `faultProxyDefaults.port` (0). */
  readonly port?: number | undefined;
  /** Faults to begin with. Default: none. */
  readonly faults?: ProxyFaults | undefined;
  /**
   * Called for each new connection before anything flows. What it gives are the connection's own
   * faults; with nothing given the connection follows the proxy.
   */
  readonly onConnection?:
    | ((connection: ProxyConnection) => ConnectionFaults | undefined)
    | undefined;
  /** Time for delays and bandwidth. Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Chance for jitter. Default: the system's. */
  readonly random?: Random | undefined;
}

/** What {@link faultProxy} uses where an option is left out. */
export const faultProxyDefaults: { readonly host: string; readonly port: number } = Object.freeze({
  host: '127.0.0.1',
  port: 0,
});

const portRule = (min: 0 | 1): OptionRule => ({
  test: (value) => countRule(min).test(value) && (value as number) <= 65_535,
  text: `a port from ${min} to 65535`,
});
const rules: OptionRules<FaultProxyOptions> = {
  target: objectRule('an object with the port of the server'),
  host: nameRule,
  port: portRule(0),
  faults: objectRule('an object of faults'),
  onConnection: functionRule,
  clock: clockRule,
  random: functionRule,
};
const targetRules: OptionRules<ProxyTarget> = { host: nameRule, port: portRule(1) };

/** How often a port that somebody else holds is tried again, and the pause between, in ms. */
const LISTEN_ATTEMPTS = 100;
const LISTEN_PAUSE = 20;

/**
 * Starts a fault proxy in front of a server. Resolves once it listens.
 *
 * It holds the process open until it is closed; `await using proxy = await faultProxy(…)` closes it
 * at the end of the block.
 *
 * @throws {@link InvalidOptionError} when an option is not what it may be; the system's error when it can't listen.
 *
 * @example
 * ```ts
 * import { connect, createServer } from 'node:net';
 *
 * const server = createServer((socket) => socket.pipe(socket));
 * server.listen(5_555, '127.0.0.1');
 *
 * const proxy = await faultProxy({ target: { port: 5_555 } });
 * const client = connect(proxy.port, proxy.host);
 *
 * await proxy.set({ delay: 200, jitterDelay: 50 }); // open connections too
 * await proxy.set({ mode: 'black-hole' });
 * await proxy.set({ cut: { afterPattern: '\r\n\r\n', afterBytes: 10 } });
 * await proxy.clear();
 *
 * client.destroy();
 * await proxy.close();
 * server.close();
 * ```
 */
export async function faultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const proxy = new FaultProxy(options);
  await proxy.set(options.faults ?? {});
  return proxy;
}

/** A running fault proxy; made by {@link faultProxy}. May be shared by any number of clients. */
export class FaultProxy {
  /** Address that the proxy listens on. */
  readonly host: string;
  readonly #onConnection: FaultProxyOptions['onConnection'];
  readonly #connections = new Set<ProxiedConnection>();
  readonly #shared: ConnectionHost & { target: Required<ProxyTarget>; faults: ResolvedFaults };
  #port: number;
  #server: Server | undefined;
  /** Whether it has listened before, so that the port is its own to get back. */
  #listened = false;
  /** The last change of the listener; the next one waits for it. */
  #listening: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #opened = 0;
  #requestBytes = 0;
  #responseBytes = 0;

  /** Use {@link faultProxy}, which also listens. */
  constructor(options: FaultProxyOptions) {
    checkOptions('faultProxy', options, rules);
    this.host = options.host ?? faultProxyDefaults.host;
    this.#port = options.port ?? faultProxyDefaults.port;
    this.#onConnection = options.onConnection;
    this.#shared = {
      clock: options.clock ?? systemClock,
      random: options.random ?? systemRandom,
      target: resolveTarget(options.target),
      faults: resolveFaults(options.faults ?? {}, 'proxy'),
      onBytes: (direction, count) => {
        if (direction === 'request') this.#requestBytes += count;
        else this.#responseBytes += count;
      },
      onClosed: (connection) => this.#connections.delete(connection),
    };
  }

  /** Port that the proxy listens on; the same for its whole life. */
  get port(): number {
    return this.#port;
  }

  /** Connections that clients have made since the start. */
  get opened(): number {
    return this.#opened;
  }

  /** Connections whose client side is open: neither ended nor reset, by the client or by a fault. */
  get open(): number {
    let count = 0;
    for (const connection of this.#connections) if (connection.open) count += 1;
    return count;
  }

  /** Bytes of clients that went on to the server. */
  get requestBytes(): number {
    return this.#requestBytes;
  }

  /** Bytes of the server that went on to clients. */
  get responseBytes(): number {
    return this.#responseBytes;
  }

  /** The connections that hold a socket, oldest first. */
  get connections(): readonly ProxyConnection[] {
    return [...this.#connections];
  }

  /**
   * Replaces the faults, of open connections at once and of new ones. Only `refuse`, and leaving it,
   * need the promise: it resolves when new connections are treated accordingly, and rejects when
   * somebody else has taken the port in the meantime.
   *
   * @throws {@link InvalidOptionError} when a fault is not what it may be; the faults before then stay.
   */
  set(faults: ProxyFaults): Promise<void> {
    const resolved = resolveFaults(faults, 'proxy');
    if (this.#closing !== undefined) return this.#closing;
    this.#shared.faults = resolved;
    for (const connection of this.#connections) connection.follow();
    if (resolved.mode === 'refuse') this.#stopListening();
    this.#listening = this.#listening.catch(() => {}).then(() => this.#listen());
    return this.#listening;
  }

  /** Takes all faults away. Connections that have lost bytes or their server stay silent. */
  clear(): Promise<void> {
    return this.set({});
  }

  /** Sends connections that are made from now on to another server; open ones stay where they are. */
  retarget(target: ProxyTarget): void {
    this.#shared.target = resolveTarget(target);
  }

  /** Ends all open connections with an RST, once; the faults stay as they are. */
  resetConnections(): void {
    for (const connection of this.#connections) connection.reset();
  }

  /** Stops listening, ends every connection, and resolves when nothing is left. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The same as {@link FaultProxy.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#listening.catch(() => {});
    this.#stopListening();
    const connections = [...this.#connections];
    for (const connection of connections) connection.destroy();
    // A socket is closed one turn after it was destroyed.
    while (this.#connections.size > 0) await new Promise((resolve) => setImmediate(resolve));
  }

  async #listen(): Promise<void> {
    for (
      let attempt = 1;
      this.#server === undefined && this.#shared.faults.mode !== 'refuse';
      attempt += 1
    ) {
      const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
      server.on('connection', (client) => this.#accept(client));
      try {
        server.listen(this.#port, this.host);
        await once(server, 'listening');
        this.#port = (server.address() as AddressInfo).port;
        this.#server = server;
        this.#listened = true;
      } catch (error) {
        const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
        // While the port was given up, an outgoing connection may have got it for a moment.
        if (!taken || !this.#listened || attempt >= LISTEN_ATTEMPTS) throw error;
        await new Promise<void>((resolve) => systemClock.schedule(resolve, LISTEN_PAUSE));
      }
    }
    // The faults may have changed while the listener was on its way.
    if (this.#shared.faults.mode === 'refuse') this.#stopListening();
  }

  #stopListening(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  #accept(client: Socket): void {
    this.#opened += 1;
    const connection = new ProxiedConnection(this.#shared, this.#opened, client);
    this.#connections.add(connection);
    const faults = this.#onConnection?.(connection);
    if (faults !== undefined) connection.set(faults);
    connection.start();
  }
}

function resolveTarget(target: ProxyTarget | undefined): Required<ProxyTarget> {
  if (target === undefined) {
    throw new InvalidOptionError('faultProxy.target', target, 'must be given');
  }
  checkOptions('faultProxy.target', target, targetRules);
  if (target.port === undefined) {
    throw new InvalidOptionError('faultProxy.target.port', target.port, 'must be given');
  }
  return { host: target.host ?? faultProxyDefaults.host, port: target.port };
}
