/** What the tests have in common: a client of the testbed's inventory, and calls as promises. */

import type { Client } from '@grpc/grpc-js';
import {
  type ChannelOptions,
  type ClientReadableStream,
  credentials,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  type GrpcService,
  InventoryClient,
  type InventoryMethods,
  type Stock,
} from '@resil/testbed';
import { channelOptions } from '../src/index.js';

export type Inventory = Client & InventoryMethods;

/** Everything that could be in the way of what a test looks at. */
export const off = Object.freeze({
  totalTimeout: false,
  attemptTimeout: false,
  retry: false,
  circuitBreaker: false,
  bulkhead: false,
});

/** Three attempts without waiting. */
export const thrice = Object.freeze({
  ...off,
  retry: { maxAttempts: 3, baseDelay: 1, maxDelay: 1, jitter: 'none', budget: false } as const,
  idempotent: true,
});

/** A client without protection, by its own connection. */
export function connect(service: { readonly address: string }, options: object = {}): Inventory {
  const channel: ChannelOptions = {
    ...channelOptions(),
    // Clients of one target would share their connection otherwise.
    'grpc.use_local_subchannel_pool': 1,
  };
  return new InventoryClient(service.address, credentials.createInsecure(), {
    ...channel,
    ...options,
  }) as unknown as Inventory;
}

/** One unary call as a promise. */
export function getStock(
  client: Inventory,
  options: object = {},
  metadata?: Metadata,
): Promise<Stock> {
  return new Promise((resolve, reject) => {
    const answer = (error: Error | null, stock?: Stock): void => {
      if (error === null) resolve(stock as Stock);
      else reject(error);
    };
    if (metadata === undefined) client.getStock({ sku: 'a' }, options, answer);
    else client.getStock({ sku: 'a' }, metadata, options, answer);
  });
}

/** What a call fails with. */
export async function failureOf(
  call: Promise<unknown>,
): Promise<ServiceError & { cause?: unknown }> {
  try {
    await call;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error('the call was expected to fail');
}

/** How a stream went. */
export interface StreamEnd {
  readonly skus: readonly string[];
  readonly error: (ServiceError & { cause?: unknown }) | undefined;
  /** Events beside the data, in order. */
  readonly events: readonly string[];
}

/** Reads a stream to its end. */
export function endOf(stream: ClientReadableStream<Stock>): Promise<StreamEnd> {
  return new Promise((resolve) => {
    const skus: string[] = [];
    const events: string[] = [];
    let error: ServiceError | undefined;
    stream.on('data', ({ sku }: Stock) => skus.push(sku));
    stream.on('metadata', () => events.push('metadata'));
    stream.on('error', (failure: ServiceError) => {
      error = failure;
      events.push('error');
    });
    stream.on('status', () => {
      events.push('status');
      // What has arrived is still to be read.
      setImmediate(() => setImmediate(() => resolve({ skus, error, events })));
    });
  });
}

/** Waits for something to become true. */
export async function until(what: string, is: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 20_000; performance.now() < end; ) {
    if (await is()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`${what}: not within 20 s`);
}

/** The paths of the calls that reached a service. */
export const attemptsAt = (service: GrpcService): string[] =>
  service.calls.map(({ metadata }) => String(metadata.get('grpc-previous-rpc-attempts')[0] ?? 0));
