/** The client of the checkout: all that it does for its protection. */
import { type Client, credentials } from '@grpc/grpc-js';
import { channelOptions, resilient } from '@resil/grpc';
import { InventoryClient, type InventoryMethods } from '@resil/testbed';

/** A client of the inventory service. */
export type Inventory = Client & InventoryMethods;

/** A client as anybody would make it. */
export function connect(address: string, options: object): Inventory {
  const client = new InventoryClient(address, credentials.createInsecure(), options);
  return client as unknown as Inventory;
}

/** The same client, guarded; `options` are those of its channel. */
export function guardedInventory(address: string, options: object = {}): Inventory {
  return resilient(connect(address, { ...options, ...channelOptions() }), {
    name: 'inventory',
    attemptTimeout: 300,
    totalTimeout: 1_000,
    circuitBreaker: { failureRatio: 0.5, minimumCalls: 10, resetTimeout: 500 },
    // "Some, probably" is better than no checkout.
    fallback: () => ({ sku: 'tea', available: -1 }),
  });
}
