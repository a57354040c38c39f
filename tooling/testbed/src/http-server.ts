/**
 * The HTTP service that tests, benches and the demo talk to: `node:http`, on loopback, with faults
 * that are made for real and can be switched while it runs, a capacity that can be exceeded for real,
 * and counters of what arrived.
 *
 * ```
 *   request -> [faults] -> [queue] -> one of `workers`, busy for `serviceTime` -> answer
 * ```
 *
 * Overload is genuine: a request waits for a free worker, and a worker serves it although the client
 * may long have gone. Paths under `/fault/` answer in one way each, whatever the faults are set to.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { faultPaths } from './http-fault-paths.js';
import { type HttpFaults, noFaults, treatmentOf } from './http-faults.js';
import { Workers } from './http-workers.js';

/** A request as a handler of one's own sees it. */
export interface ReceivedRequest {
  readonly method: string;
  /** The path, without the query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** Answers requests of a path. May write to the response by itself and return nothing. */
export type HttpHandler = (request: ReceivedRequest, response: ServerResponse) => unknown;

/** Options of {@link startHttpService}. */
export interface HttpServiceOptions {
  /** Port to listen on; 0, the default, lets the system choose. */
  readonly port?: number | undefined;
  /** Requests that are served at the same time. Default: `Infinity`. */
  readonly workers?: number | undefined;
  /** Milliseconds that a worker needs for one request. Default: 0. */
  readonly serviceTime?: number | undefined;
  /** Requests that may wait for a worker; beyond, the answer is 503 at once. Default: `Infinity`. */
  readonly maxWaiting?: number | undefined;
  /** Faults to begin with. */
  readonly faults?: HttpFaults | undefined;
  /** Handlers by `METHOD /path` or `/path`. What has none is answered by an echo in JSON. */
  readonly handlers?: Readonly<Record<string, HttpHandler>> | undefined;
  /** Chance of the ratios. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** What arrived so far. */
export interface HttpCounters {
  /** Requests whose head arrived. */
  readonly hits: number;
  /** The same by `METHOD /path`. */
  readonly byPath: Readonly<Record<string, number>>;
  /** Requests that a worker has finished. */
  readonly served: number;
  /** Milliseconds that workers spent on the requests that were finished, added up. */
  readonly busyTime: number;
  /** Requests that wait for a worker. */
  readonly waiting: number;
  /** Requests whose client went away before the answer was complete. */
  readonly abandoned: number;
  /** Connections that are open. */
  readonly sockets: number;
  /** Connections that were ever made. */
  readonly connections: number;
}

/** A running service. */
export class HttpService {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #idleTimers = new WeakMap<Socket, ReturnType<typeof setTimeout>>();
  readonly #options: HttpServiceOptions;
  readonly #workers: Workers;
  #faults: HttpFaults;
  #byPath = new Map<string, number>();
  #hits = 0;
  #abandoned = 0;
  #connections = 0;
  /** The requests that arrived, the newest last, at most 1,000. */
  readonly requests: ReceivedRequest[] = [];

  constructor(options: HttpServiceOptions) {
    this.#options = options;
    this.#faults = options.faults ?? noFaults;
    this.#workers = new Workers(
      options.workers ?? Infinity,
      options.serviceTime ?? 0,
      options.maxWaiting ?? Infinity,
    );
    this.#server = createServer((request, response) => {
      this.#receive(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on('connection', (socket) => {
      this.#connections++;
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Starts listening; resolves when it does. */
  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Where it is reached: `http://127.0.0.1:<port>`. */
  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Replaces the faults; with nothing given there are none. */
  set(faults: HttpFaults = noFaults): void {
    this.#faults = faults;
  }

  /** Changes how long a worker needs for a request. */
  setServiceTime(serviceTime: number): void {
    this.#workers.serviceTime = serviceTime;
  }

  counters(): HttpCounters {
    return {
      hits: this.#hits,
      byPath: Object.fromEntries(this.#byPath),
      served: this.#workers.served,
      busyTime: this.#workers.busyTime,
      waiting: this.#workers.waiting,
      abandoned: this.#abandoned,
      sockets: this.#sockets.size,
      connections: this.#connections,
    };
  }

  /** Counts from zero again. */
  resetCounters(): void {
    this.#hits = 0;
    this.#abandoned = 0;
    this.#connections = 0;
    this.#byPath = new Map();
    this.#workers.served = 0;
    this.#workers.busyTime = 0;
    this.requests.length = 0;
  }

  /** Cuts all connections and stops listening. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? 'GET';
    const path = (request.url ?? '/').replace(/\?.*$/s, '');
    this.#hits++;
    const counted = `${method} ${path}`;
    this.#byPath.set(counted, (this.#byPath.get(counted) ?? 0) + 1);
    response.once('close', () => {
      if (!response.writableFinished) this.#abandoned++;
    });
    this.#closeIdle(request.socket, response);

    const faults = this.#faults;
    const treatment = path.startsWith('/fault/')
      ? 'serve'
      : treatmentOf(faults, this.#options.random ?? Math.random);
    if (treatment === 'reset') return void request.socket.resetAndDestroy();
    const body = await bodyOf(request);
    if (body === undefined) return;
    const received: ReceivedRequest = { method, path, headers: request.headers, body };
    this.requests.push(received);
    if (this.requests.length > 1_000) this.requests.shift();
    if (treatment === 'hang') return;
    if (treatment === 'status') {
      if (faults.latency) await delay(faults.latency);
      if (faults.retryAfter !== undefined) response.setHeader('retry-after', faults.retryAfter);
      for (const [name, value] of Object.entries(faults.headers ?? {}))
        response.setHeader(name, value);
      return answer(response, faults.status ?? 503, { error: 'fault' });
    }
    if (!(await this.#workers.serve())) return answer(response, 503, { error: 'overloaded' });
    if (faults.latency) await delay(faults.latency);
    await this.#handle(received, response);
  }

  async #handle(received: ReceivedRequest, response: ServerResponse): Promise<void> {
    const { method, path, body } = received;
    const { handlers } = this.#options;
    const handler = handlers?.[`${method} ${path}`] ?? handlers?.[path] ?? faultPaths[path];
    if (handler === undefined) return answer(response, 200, { method, path, size: body.length });
    const value = await handler(received, response);
    if (value !== undefined && !response.headersSent) answer(response, 200, value);
  }

  /** The client believes that its idle connection is alive, and meets a reset when it uses it. */
  #closeIdle(socket: Socket, response: ServerResponse): void {
    clearTimeout(this.#idleTimers.get(socket));
    const after = this.#faults.closeIdleAfter;
    if (after === undefined) return;
    response.once('finish', () => {
      const timer = setTimeout(() => socket.destroy(), after);
      this.#idleTimers.set(socket, timer);
      socket.once('close', () => clearTimeout(timer));
    });
  }
}

/** Starts the service in this process. */
export async function startHttpService(options: HttpServiceOptions = {}): Promise<HttpService> {
  const service = new HttpService(options);
  await service.listen(options.port ?? 0);
  return service;
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  if (response.destroyed) return;
  const text = JSON.stringify(value);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

function delay(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration));
}

/** The whole body; `undefined` if the client went away while sending it. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}
