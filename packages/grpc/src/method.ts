/** Methods: what a path tells, and which methods do no harm when they run twice. */
import type { ServiceDefinition } from '@grpc/grpc-js';
import type { GrpcAttributes } from './classify.js';
import type { MethodDefinition } from './host.js';

/** A method, as `key` and `idempotent` functions see it. */
export interface GrpcMethod {
  /** The whole path: `/shop.v1.Inventory/GetStock`. */
  readonly path: string;
  /** The service with its package: `shop.v1.Inventory`. */
  readonly service: string;
  /** The method alone: `GetStock`. */
  readonly method: string;
  /** Which of the four kinds it is. */
  readonly kind: GrpcAttributes['kind'];
}

/** Reads a method off its definition. */
export function methodOf(definition: MethodDefinition): GrpcMethod {
  const { path, requestStream, responseStream } = definition;
  const slash = path.lastIndexOf('/');
  const kind = requestStream
    ? responseStream
      ? 'bidi'
      : 'client-stream'
    : responseStream
      ? 'server-stream'
      : 'unary';
  return { path, service: path.slice(1, slash), method: path.slice(slash + 1), kind };
}

/**
 * Paths of the methods that their `.proto` calls harmless to repeat (`option idempotency_level`).
 * Known where the client was made by proto-loader; generated code leaves it out.
 */
export function declaredIdempotent(service: unknown): ReadonlySet<string> {
  const paths = new Set<string>();
  if (typeof service !== 'object' || service === null) return paths;
  for (const definition of Object.values(service as ServiceDefinition)) {
    const { path, options } = definition as {
      path?: string;
      options?: { idempotency_level?: unknown };
    };
    const level = options?.idempotency_level;
    if (path !== undefined && (level === 'NO_SIDE_EFFECTS' || level === 'IDEMPOTENT')) {
      paths.add(path);
    }
  }
  return paths;
}
