/** The members of pg's client that the adapter touches and @types/pg doesn't know, as of pg 8. */
import type { PoolClient } from 'pg';

/** A physical connection as pg made it. */
export interface RawClient extends Omit<PoolClient, 'ssl' | 'connection'> {
  readonly ssl: unknown;
  readonly sslNegotiation?: string;
  readonly connection: { readonly stream: object };
  /** Set from BackendKeyData once the connection is up. */
  readonly processID?: number | null;
  readonly secretKey?: number | Uint8Array | null;
  /** Whether a query that is submitted now is sent at once, not queued behind another. */
  readonly readyForQuery?: boolean;
  /** Queries that were submitted and not sent. */
  readonly _queryQueue?: unknown[];
}

/** What pg-pool calls back with. */
export type ConnectCallback = (
  error: Error | undefined,
  client: RawClient | undefined,
  release: (destroy?: unknown) => void,
) => void;

/** Status of the transaction that a connection is in: `I` none, `T` one, `E` a failed one, `null` not known. */
export function transactionStatus(client: RawClient): 'I' | 'T' | 'E' | null {
  return typeof client.getTransactionStatus === 'function' ? client.getTransactionStatus() : null;
}

/** Whether a connection is inside a transaction, as far as is known. */
export function inTransaction(client: RawClient): boolean {
  const status = transactionStatus(client);
  return status === 'T' || status === 'E';
}
