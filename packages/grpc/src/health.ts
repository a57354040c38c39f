/**
 * Health of a target as an input of its circuit breakers: a `grpc.health.v1` watch
 * (https://github.com/grpc/grpc/blob/master/doc/health-checking.md, and gRFC A17 for how a client
 * uses it). While the server says anything but SERVING, the breakers of the target are isolated; when
 * it serves again, or can't be asked any more, those that were isolated here are reset.
 *
 * Of a server that doesn't say there is nothing to know: without the health service, and while the
 * watch is broken and tried again, the breakers go by outcomes alone.
 */
import type { Client, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import {
  backoffDelay,
  type CircuitBreaker,
  type Clock,
  type Random,
  systemClock,
  systemRandom,
} from '@resil/core';
import { numberOf, readFields, stringField } from './wire.js';

const PATH = '/grpc.health.v1.Health/Watch';
const SERVING = 1;
const UNIMPLEMENTED = 12;

/** From how many breakers on each new one has the forgotten ones removed. */
const SWEEP_SIZE = 100;

/** Between two watches: half a second to a second at first, a minute at most. */
const REWATCH = Object.freeze({
  baseDelay: 1_000,
  maxDelay: 60_000,
  backoff: 'exponential',
  jitter: 'equal',
});

/** Watches a target, and isolates breakers. Belongs to one guarded client. */
export class HealthWatch {
  readonly #client: Client;
  readonly #service: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #breakers = new Set<WeakRef<CircuitBreaker>>();
  readonly #isolated = new WeakSet<CircuitBreaker>();
  #serving = true;
  #stopped = false;
  #stream: ClientReadableStream<number> | undefined;
  #cancelRewatch: (() => void) | undefined;
  /** Watches that failed in a row. */
  #failures = 0;

  constructor(
    client: Client,
    service: string,
    { clock, random }: { readonly clock?: Clock | undefined; readonly random?: Random | undefined },
  ) {
    this.#client = client;
    this.#service = service;
    this.#clock = clock ?? systemClock;
    this.#random = random ?? systemRandom;
  }

  /** Breakers of the target; held weakly, because their keys may be forgotten. */
  add(breakers: readonly CircuitBreaker[]): void {
    this.#sweep();
    for (const breaker of breakers) {
      this.#breakers.add(new WeakRef(breaker));
      if (!this.#serving) this.#isolate(breaker);
    }
  }

  start(): void {
    if (this.#stopped) return;
    let stream: ClientReadableStream<number>;
    try {
      stream = this.#client.makeServerStreamRequest(
        PATH,
        (service: string) => stringField(1, service),
        statusIn,
        this.#service,
      );
    } catch {
      // The client was closed.
      this.stop();
      return;
    }
    this.#stream = stream;
    stream.on('data', (status: number) => {
      this.#failures = 0;
      this.#tell(status === SERVING);
    });
    stream.on('error', (error: ServiceError) => {
      if (error.code === UNIMPLEMENTED) this.stop();
    });
    stream.on('status', () => this.#again());
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancelRewatch?.();
    this.#stream?.cancel();
    this.#tell(true);
  }

  /** Keys come and go: those that are forgotten must not fill the set. */
  #sweep(): void {
    if (this.#breakers.size < SWEEP_SIZE) return;
    for (const reference of this.#breakers) {
      if (reference.deref() === undefined) this.#breakers.delete(reference);
    }
  }

  #again(): void {
    this.#tell(true);
    if (this.#stopped) return;
    const delay = backoffDelay(REWATCH, ++this.#failures, undefined, this.#random);
    this.#cancelRewatch = this.#clock.schedule(() => this.start(), delay);
  }

  #tell(serving: boolean): void {
    if (serving === this.#serving) return;
    this.#serving = serving;
    for (const reference of this.#breakers) {
      const breaker = reference.deref();
      if (breaker === undefined) this.#breakers.delete(reference);
      else if (serving) this.#release(breaker);
      else this.#isolate(breaker);
    }
  }

  /** A breaker that somebody isolated by hand is theirs to reset. */
  #isolate(breaker: CircuitBreaker): void {
    if (breaker.state === 'isolated') return;
    this.#isolated.add(breaker);
    breaker.isolate();
  }

  #release(breaker: CircuitBreaker): void {
    if (this.#isolated.delete(breaker) && breaker.state === 'isolated') breaker.reset();
  }
}

/** `status` of a HealthCheckResponse; 0 (UNKNOWN) for what can't be read. */
function statusIn(bytes: Buffer): number {
  return numberOf(readFields(bytes) ?? [], 1);
}
