// What a guarded client is to the compiler: what it was before.
import type {
  CallOptions,
  Client,
  ClientDuplexStream,
  ClientReadableStream,
  ClientUnaryCall,
  ClientWritableStream,
  Interceptor,
  Metadata,
  ServiceError,
} from '@grpc/grpc-js';
import { expectTypeOf } from 'vitest';
import { type CallResilience, interceptor, resilient } from '../src/index.js';
import type { InventoryClient as Generated } from './clients/grpc-tools/inventory_grpc_pb.js';
import type * as pb from './clients/grpc-tools/inventory_pb.js';
import type {
  Receipt,
  Stock,
  StockRequest,
  InventoryClient as TsProto,
} from './clients/ts-proto.js';

declare const generated: Generated;
declare const tsProto: TsProto;
declare const bare: Client;
declare const metadata: Metadata;
declare const request: pb.StockRequest;

// The type itself, and so every overload.
expectTypeOf(resilient(generated)).toEqualTypeOf<Generated>();
expectTypeOf(resilient(tsProto)).toEqualTypeOf<TsProto>();
expectTypeOf(resilient(bare)).toEqualTypeOf<Client>();
expectTypeOf(interceptor()).toEqualTypeOf<Interceptor>();

const one = resilient(generated);
const done = (_error: ServiceError | null, _stock: pb.Stock): void => {};
expectTypeOf(one.getStock(request, done)).toEqualTypeOf<ClientUnaryCall>();
expectTypeOf(one.getStock(request, metadata, done)).toEqualTypeOf<ClientUnaryCall>();
expectTypeOf(
  one.getStock(request, metadata, { deadline: 1, resilience: { idempotent: true } }, done),
).toEqualTypeOf<ClientUnaryCall>();

const other = resilient(tsProto);
expectTypeOf(
  other.getStock({ sku: 'a' }, (_error, stock) => expectTypeOf(stock).toEqualTypeOf<Stock>()),
).toEqualTypeOf<ClientUnaryCall>();
expectTypeOf(other.listStock({ count: 1, padding: 0 }, { resilience: { key: 'k' } })).toEqualTypeOf<
  ClientReadableStream<Stock>
>();
expectTypeOf(
  other.restock((_error, receipt) => expectTypeOf(receipt).toEqualTypeOf<Receipt>()),
).toEqualTypeOf<ClientWritableStream<{ sku: string; quantity: number }>>();
expectTypeOf(other.track()).toEqualTypeOf<ClientDuplexStream<StockRequest, Stock>>();

// What one call says of itself completes in an editor, and is checked.
expectTypeOf<CallOptions['resilience']>().toEqualTypeOf<CallResilience | undefined>();
// @ts-expect-error -- not an option of a call
other.track({ resilience: { retries: 3 } });
// @ts-expect-error -- not a boolean
other.track({ resilience: { idempotent: 'yes' } });
// @ts-expect-error -- not a client
resilient({});
// @ts-expect-error -- health is of a client that exists
interceptor({ health: true });
