/** What order service and inventory service speak: `demo.v1.Inventory`, read from its `.proto`. */
import { fileURLToPath } from 'node:url';
import {
  type CallOptions,
  type Client,
  type ClientUnaryCall,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** What is to be reserved, and for which order. */
export interface ReserveRequest {
  readonly order: string;
  readonly item: string;
  readonly quantity: number;
}

/** What was reserved. */
export interface Reservation {
  readonly available: number;
  /** Whether an earlier call had reserved it already. */
  readonly repeated: boolean;
}

/** A client as proto-loader makes it, with the types that it has no way to know. */
export interface InventoryClient extends Client {
  reserve(
    request: ReserveRequest,
    options: Partial<CallOptions>,
    callback: (error: ServiceError | null, reservation?: Reservation) => void,
  ): ClientUnaryCall;
}

const definitions = loadPackageDefinition(
  loadSync(fileURLToPath(new URL('../proto/inventory.proto', import.meta.url)), { defaults: true }),
) as unknown as { demo: { v1: { Inventory: ServiceClientConstructor } } };

/** The class of {@link InventoryClient}. */
export const Inventory: ServiceClientConstructor = definitions.demo.v1.Inventory;

/** Reserves, as a promise. */
export function reserve(
  client: InventoryClient,
  request: ReserveRequest,
  options: Partial<CallOptions>,
): Promise<Reservation> {
  return new Promise((resolve, reject) => {
    client.reserve(request, options, (error, reservation) => {
      if (error === null && reservation !== undefined) resolve(reservation);
      else reject(error);
    });
  });
}
