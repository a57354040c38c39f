/** The seam for a client that is being made: one interceptor, outermost. */
import type { Interceptor } from '@grpc/grpc-js';
import { checkInterceptorOptions, type InterceptorSettings } from './options.js';
import { Protection } from './protection.js';

/**
 * An interceptor for the clients of one target: what goes through it has the standard pipeline of
 * `@resil/core` (total timeout, retry with a budget, circuit breaker, bulkhead, attempt timeout), one
 * for each service. Put it first: interceptors after it run once per attempt, those before it once per
 * call. Several clients of one target may share it; another target needs another one.
 *
 * Calls end with the last attempt's own status; or, where a layer refused or cut a call short, with
 * UNAVAILABLE, RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED and the `ResilienceError` as `cause`.
 *
 * A call's own `interceptors` replace those of the client in grpc-js, and so this one. With
 * `resilient(client)` protection stays on.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts
 * import { Client, credentials } from '@grpc/grpc-js';
 * import { channelOptions, interceptor } from '@resil/grpc';
 *
 * const client = new Client('localhost:50051', credentials.createInsecure(), {
 *   ...channelOptions(),
 *   interceptors: [interceptor({ idempotent: ['/shop.v1.Inventory/GetStock'] })],
 * });
 * client.close();
 * ```
 */
export function interceptor(options: InterceptorSettings = {}): Interceptor {
  checkInterceptorOptions(options);
  return new Protection(options).interceptor;
}
