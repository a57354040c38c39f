/**
 * The gRPC service that tests, benches and the demo talk to: a grpc-js server on loopback with an
 * inventory (one method of each kind) and `grpc.health.v1`, faults that are made for real and can be
 * switched while it runs, and counters of what arrived.
 */
import {
  type handleUnaryCall,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { healthService, inventoryService, trailersOf } from './grpc-definitions.js';
import { type GrpcFaults, type GrpcTreatment, GrpcTreatments } from './grpc-faults.js';

/** A call as it arrived. */
export interface ReceivedCall {
  /** Name of the method: `GetStock`. */
  readonly method: string;
  readonly metadata: Metadata;
  /** When its client stops waiting, in milliseconds since 1970; `Infinity` if it said nothing. */
  readonly deadline: number;
}

/** Options of {@link startGrpcService}. */
export interface GrpcServiceOptions {
  /** Port to listen on; 0, the default, lets the system choose. */
  readonly port?: number | undefined;
  /** Faults to begin with. */
  readonly faults?: GrpcFaults | undefined;
  /** What `GetStock` does instead, for calls that are served. */
  // biome-ignore lint/suspicious/noExplicitAny: messages of any service
  readonly getStock?: handleUnaryCall<any, any> | undefined;
  /** Chance of the ratios. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** What arrived so far. */
export interface GrpcCounters {
  /** Calls that arrived, those for health not counted. */
  readonly hits: number;
  /** The same by name of the method. */
  readonly byMethod: Readonly<Record<string, number>>;
  /** Calls that their client gave up, or whose deadline passed. */
  readonly cancelled: number;
  /** Messages that arrived on streams. */
  readonly messages: number;
  /** Messages of server streams that were written. */
  readonly written: number;
}

/** Whether a service is well, in `grpc.health.v1`. */
export type ServingStatus = 'UNKNOWN' | 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';

/** What calls of every kind have. */
interface AnyCall {
  readonly metadata: Metadata;
  getDeadline(): number | Date;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** A running service. */
export class GrpcService {
  readonly #server = new Server({ 'grpc.max_receive_message_length': -1 });
  readonly #options: GrpcServiceOptions;
  #treatments: GrpcTreatments;
  #port = 0;
  #byMethod = new Map<string, number>();
  #hits = 0;
  #cancelled = 0;
  #messages = 0;
  #written = 0;
  #health: ServingStatus = 'SERVING';
  readonly #watchers = new Set<ServerWritableStream<unknown, unknown>>();
  /** The calls that arrived, the newest last, at most 1,000. */
  readonly calls: ReceivedCall[] = [];

  constructor(options: GrpcServiceOptions) {
    this.#options = options;
    this.#treatments = this.#treatmentsOf(options.faults ?? {});
    this.#server.addService(inventoryService, this.#inventory());
    this.#server.addService(healthService, {
      Check: (_call: unknown, callback: (error: null, answer: object) => void) =>
        callback(null, { status: this.#health }),
      Watch: (call: ServerWritableStream<unknown, unknown>) => {
        this.#watchers.add(call);
        call.on('cancelled', () => this.#watchers.delete(call));
        call.write({ status: this.#health });
      },
    });
  }

  /** Starts listening; resolves when it does. */
  async listen(port: number): Promise<void> {
    this.#port = await new Promise((resolve, reject) => {
      this.#server.bindAsync(
        `127.0.0.1:${port}`,
        ServerCredentials.createInsecure(),
        (error, bound) => (error === null ? resolve(bound) : reject(error)),
      );
    });
  }

  get port(): number {
    return this.#port;
  }

  /** Where it is reached: `127.0.0.1:<port>`. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Clients that watch the health. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** Replaces the faults; with nothing given there are none. */
  set(faults: GrpcFaults = {}): void {
    this.#treatments = this.#treatmentsOf(faults);
  }

  /** Changes what `grpc.health.v1` says, of every service. */
  setHealth(status: ServingStatus): void {
    this.#health = status;
    for (const watcher of this.#watchers) watcher.write({ status });
  }

  counters(): GrpcCounters {
    return {
      hits: this.#hits,
      byMethod: Object.fromEntries(this.#byMethod),
      cancelled: this.#cancelled,
      messages: this.#messages,
      written: this.#written,
    };
  }

  /** Counts from zero again. */
  resetCounters(): void {
    this.#hits = 0;
    this.#cancelled = 0;
    this.#messages = 0;
    this.#written = 0;
    this.#byMethod = new Map();
    this.calls.length = 0;
  }

  /** Lets the calls that run end by themselves, and takes no new ones. */
  drain(): Promise<void> {
    return new Promise((resolve) => this.#server.tryShutdown(() => resolve()));
  }

  /** Ends everything at once; what runs is cancelled. */
  stop(): void {
    this.#server.forceShutdown();
  }

  #treatmentsOf(faults: GrpcFaults): GrpcTreatments {
    return new GrpcTreatments(faults, this.#options.random ?? Math.random);
  }

  #inventory(): UntypedServiceImplementation {
    let reservations = 0;
    return {
      GetStock: this.#unary('GetStock', ({ sku }) => ({ sku, available: 7 })),
      Reserve: this.#unary('Reserve', () => ({ id: `r-${++reservations}` })),
      ListStock: (call: ServerWritableStream<{ count: number; padding: number }, unknown>) =>
        this.#listStock(call),
      Restock: (
        call: ServerReadableStream<unknown, unknown>,
        callback: (error: object | null, value?: unknown) => void,
      ) => this.#restock(call, callback),
      Track: (call: ServerDuplexStream<{ sku: string }, unknown>) => this.#track(call),
    };
  }

  #receive(method: string, call: AnyCall): GrpcTreatment {
    this.#hits++;
    this.#byMethod.set(method, (this.#byMethod.get(method) ?? 0) + 1);
    this.calls.push({ method, metadata: call.metadata, deadline: Number(call.getDeadline()) });
    if (this.calls.length > 1_000) this.calls.shift();
    call.on('cancelled', () => this.#cancelled++);
    return this.#treatments.draw();
  }

  #unary(method: string, answer: (request: { sku: string }) => object) {
    return (
      call: ServerUnaryCall<{ sku: string }, unknown>,
      callback: (error: object | null, value?: unknown) => void,
    ): void => {
      const { faults } = this.#treatments;
      const treatment = this.#receive(method, call);
      if (treatment === 'hang') return;
      const { getStock } = this.#options;
      after(faults.latency, () => {
        if (treatment !== 'serve') callback(failure(treatment.status, faults));
        else if (method === 'GetStock' && getStock !== undefined) getStock(call, callback);
        else callback(null, answer(call.request));
      });
    };
  }

  #listStock(call: ServerWritableStream<{ count: number; padding: number }, unknown>): void {
    const { faults } = this.#treatments;
    const treatment = this.#receive('ListStock', call);
    if (treatment === 'hang') return;
    const { count, padding } = call.request;
    const last = treatment === 'serve' ? count : Math.min(count, faults.failAfterMessages ?? 0);
    const bytes = Buffer.alloc(padding);
    let next = 0;
    const write = (): void => {
      while (next < last && !call.cancelled) {
        this.#written++;
        if (!call.write({ sku: `sku-${next++}`, available: 1, padding: bytes })) {
          call.once('drain', write);
          return;
        }
      }
      if (treatment === 'serve') call.end();
      else call.emit('error', failure(treatment.status, faults));
    };
    after(faults.latency, write);
  }

  #restock(
    call: ServerReadableStream<unknown, unknown>,
    callback: (error: object | null, value?: unknown) => void,
  ): void {
    const { faults } = this.#treatments;
    const treatment = this.#receive('Restock', call);
    let deliveries = 0;
    call.on('data', () => {
      deliveries++;
      this.#messages++;
    });
    if (treatment === 'hang') return;
    if (treatment !== 'serve') {
      after(faults.latency, () => callback(failure(treatment.status, faults)));
      return;
    }
    call.on('end', () => after(faults.latency, () => callback(null, { deliveries })));
  }

  #track(call: ServerDuplexStream<{ sku: string }, unknown>): void {
    const { faults } = this.#treatments;
    const treatment = this.#receive('Track', call);
    if (treatment !== 'serve' && treatment !== 'hang') {
      after(faults.latency, () => call.emit('error', failure(treatment.status, faults)));
      return;
    }
    call.on('data', ({ sku }: { sku: string }) => {
      this.#messages++;
      if (treatment === 'serve') call.write({ sku, available: 1 });
    });
    call.on('end', () => call.end());
  }
}

/** Starts the service in this process. */
export async function startGrpcService(options: GrpcServiceOptions = {}): Promise<GrpcService> {
  const service = new GrpcService(options);
  await service.listen(options.port ?? 0);
  return service;
}

function failure(code: number, faults: GrpcFaults): object {
  const details = faults.details ?? 'fault';
  return Object.assign(new Error(details), {
    code,
    details,
    metadata: trailersOf(faults.trailers),
  });
}

function after(latency: number | undefined, run: () => void): void {
  if (latency === undefined || latency === 0) run();
  else setTimeout(run, latency);
}
