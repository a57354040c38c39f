/** What the gRPC services of the testbed are made of, read from their `.proto` files. */
import { fileURLToPath } from 'node:url';
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** Stock of one item. */
export interface Stock {
  readonly sku: string;
  readonly available: number;
  readonly padding?: Buffer;
}

type Last<Response> = (error: Error | null, response?: Response) => void;

// The unread parts of the overloads that proto-loader clients have.
type Unary<Request, Response> = (request: Request, ...rest: UnaryRest<Response>) => ClientUnaryCall;
type UnaryRest<Response> =
  | [callback: Last<Response>]
  | [metadataOrOptions: object, callback: Last<Response>]
  | [metadata: Metadata, options: object, callback: Last<Response>];

/** A client of the inventory, as `loadPackageDefinition` makes it, with the types that it has no way to know. */
export interface InventoryMethods {
  getStock: Unary<{ sku: string }, Stock>;
  reserve: Unary<{ sku: string; quantity: number }, { id: string }>;
  listStock: (
    request: { count: number; padding?: number },
    metadataOrOptions?: object,
    options?: object,
  ) => ClientReadableStream<Stock>;
  restock: (
    ...rest: UnaryRest<{ deliveries: number }>
  ) => ClientWritableStream<{ sku: string; quantity: number }>;
  track: (
    metadataOrOptions?: object,
    options?: object,
  ) => ClientDuplexStream<{ sku: string }, Stock>;
}

const read = (file: string): ReturnType<typeof loadPackageDefinition> =>
  loadPackageDefinition(
    loadSync(fileURLToPath(new URL(`../proto/${file}`, import.meta.url)), { defaults: true }),
  );

/** The client class of `shop.v1.Inventory`. */
// biome-ignore lint/suspicious/noExplicitAny: packages are nested records
export const InventoryClient: ServiceClientConstructor = (read('inventory.proto') as any).shop.v1
  .Inventory;

/** `shop.v1.Inventory`. */
export const inventoryService: ServiceDefinition = InventoryClient.service;

/** `grpc.health.v1.Health`. */
// biome-ignore lint/suspicious/noExplicitAny: packages are nested records
export const healthService: ServiceDefinition = (read('health.proto') as any).grpc.health.v1.Health
  .service;

/** Trailers from plain text; names that end in `-bin` are in base64. */
export function trailersOf(entries: Readonly<Record<string, string>> = {}): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(entries)) {
    metadata.add(name, name.endsWith('-bin') ? Buffer.from(value, 'base64') : value);
  }
  return metadata;
}
