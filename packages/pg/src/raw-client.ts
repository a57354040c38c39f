/** The members of pg's client that the adapter touches and @types/pg doesn't know, as of pg 8. */
import type { PoolClient } from 'pg';

/** A physical connection as pg made it. */
export interface RawClient extends Omit<PoolClient, 'ssl' | 'connection'> {
  readonly ssl: unknown;
  readonly sslNegotiation?: string;
  readonly connection: {
    readonly stream: object;
    on(event: 'readyForQuery', listener: (message: { readonly status?: string }) => void): unknown;
    on(
      event: 'parameterStatus',
      listener: (message: { readonly parameterName: string }) => void,
    ): unknown;
    once(event: 'readyForQuery' | 'end', listener: () => void): unknown;
    removeListener(event: 'readyForQuery' | 'end', listener: () => void): unknown;
  };
  /** Set from BackendKeyData once the connection is up. */
  readonly processID?: number | null;
  readonly secretKey?: number | Uint8Array | null;
  /** Whether a query that is submitted now is sent at once, not queued behind another. */
  readonly readyForQuery?: boolean;
  /** Queries that were submitted and not sent. */
  readonly _queryQueue?: unknown[];
  /** The same in older releases of pg 8; newer ones warn when it is read. */
  readonly queryQueue?: unknown[];
}

/**
 * Calls `next` when the server is ready for the next statement, or gone. pg reports a failed
 * statement before that, when the transaction's status is still that of before. The result ends the
 * wait.
 */
export function whenReady(client: RawClient, next: () => void): () => void {
  const { connection } = client;
  const end = (): void => {
    connection.removeListener('readyForQuery', ready);
    connection.removeListener('end', ready);
  };
  const ready = (): void => {
    end();
    next();
  };
  connection.once('readyForQuery', ready);
  connection.once('end', ready);
  return end;
}

/** What pg-pool calls back with. */
export type ConnectCallback = (
  error: Error | undefined,
  client: RawClient | undefined,
  release: (destroy?: unknown) => void,
) => void;

/** Status of a connection's transaction: `I` none, `T` one, `E` a failed one, `null` not known. */
export type TransactionStatus = 'I' | 'T' | 'E' | null;

const statuses = new WeakMap<object, TransactionStatus>();

/** Status of the transaction that a connection is in. */
export function transactionStatus(client: RawClient): TransactionStatus {
  if (typeof client.getTransactionStatus === 'function') return client.getTransactionStatus();
  return statuses.get(client) ?? null;
}

/** Keeps the status of a connection whose pg doesn't. */
export function trackStatus(client: RawClient): void {
  if (typeof client.getTransactionStatus === 'function') return;
  client.connection.on('readyForQuery', ({ status }) => {
    statuses.set(client, (status as TransactionStatus | undefined) ?? null);
  });
}

/** Queries that wait on the client behind another. */
export function queueOf(client: RawClient): unknown[] | undefined {
  return client._queryQueue ?? client.queryQueue;
}

/** Whether a connection is inside a transaction, as far as is known. */
export function inTransaction(client: RawClient): boolean {
  const status = transactionStatus(client);
  return status === 'T' || status === 'E';
}
