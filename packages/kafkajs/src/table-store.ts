/**
 * An outbox in a table of PostgreSQL, through pg. Messages can be kept within the caller's own
 * transaction, so that they are sent if and only if it commits: the transactional outbox. One process
 * at a time sends what the table holds, kept apart by an advisory lock; the others take over when it
 * is gone.
 */
import { checkOptions, InvalidOptionError, type OptionRules, objectRule } from '@resil/core';
import type { ProducerRecord } from 'kafkajs';
import { decodeMessage, encodeMessage } from './message-codec.js';
import type { Appended, OutboxStore, StoredEntry, StoredMessage } from './outbox-options.js';
import { readRecord } from './record.js';

/** What a store needs of a pg client. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<{ rows: readonly unknown[] }>;
}

/** What a store needs of a pg pool. */
export interface QueryablePool extends Queryable {
  connect(): Promise<
    Queryable & {
      release(error?: boolean | Error): void;
      on(event: 'error', listener: (error: Error) => void): unknown;
      removeListener(event: 'error', listener: (error: Error) => void): unknown;
    }
  >;
}

/** Options of {@link tableStore}. */
export interface TableStoreOptions {
  /** A pool of the package `pg`. One of its clients is held while messages are sent, another is used to append. */
  readonly pool: QueryablePool;
  /**
   * The table, with its schema if need be. It is made if it is not there.
   *
   * @defaultValue `tableStoreDefaults.table` (`'resil_outbox'`)
   */
  readonly table?: string | undefined;
}

/** Defaults of {@link TableStoreOptions}. */
export const tableStoreDefaults: { readonly table: string } = Object.freeze({
  table: 'resil_outbox',
});

/** Longest time that a process may be silent while others wait for it to append, in ms. */
const APPEND_TIMEOUT = 5_000;

/** A store in a table; `enqueue` keeps messages within a transaction of the caller's. */
export interface TableStore extends OutboxStore {
  /**
   * Keeps messages by a client of the caller's, in whatever transaction it is in. They count for the
   * outbox's `maxMessages`, and are themselves never refused.
   */
  enqueue(client: Queryable, record: ProducerRecord): Promise<void>;
}

const rules: OptionRules<TableStoreOptions> = {
  pool: objectRule('a pool of pg', (value) => typeof value.connect === 'function'),
  table: {
    test: (value) => typeof value === 'string' && /^\w+(\.\w+)?$/.test(value),
    text: 'a name of letters, digits and underscores, with a schema or without',
  },
};

/**
 * A store in a table of PostgreSQL, for an {@link outbox}.
 *
 * @throws InvalidOptionError
 * @example
 * ```ts no-run (needs a database and a broker)
 * import { outbox, tableStore } from '@resil/kafkajs';
 * import pg from 'pg';
 *
 * const pool = new pg.Pool();
 * const store = tableStore({ pool });
 * const box = outbox({ store });
 *
 * const client = await pool.connect();
 * await client.query('begin');
 * await client.query("insert into orders values (7, 'two teapots')");
 * await store.enqueue(client, { topic: 'orders', messages: [{ key: '7', value: 'two teapots' }] });
 * await client.query('commit');
 * client.release();
 * ```
 */
export function tableStore(options: TableStoreOptions): TableStore {
  checkOptions('tableStore', options, rules);
  if (options.pool === undefined) {
    throw new InvalidOptionError('tableStore.pool', undefined, 'must be given');
  }
  return new PgTableStore(options.pool, options.table ?? tableStoreDefaults.table);
}

type Row = { readonly id: string; readonly message: string };

type Client = Awaited<ReturnType<QueryablePool['connect']>>;

class PgTableStore implements TableStore {
  readonly shared = true;
  readonly #pool: QueryablePool;
  readonly #table: string;
  #holder: Client | undefined;

  constructor(pool: QueryablePool, table: string) {
    this.#pool = pool;
    this.#table = table;
  }

  async open(): Promise<void> {
    // Two processes that create it at the same time: one of them is told that it is there.
    const create = `create table if not exists ${this.#table} (id bigserial primary key, message text not null)`;
    await this.#pool.query(create).catch(async () => this.#pool.query(create));
  }

  async size(): Promise<number> {
    const { rows } = await this.#pool.query(`select count(*)::int as n from ${this.#table}`);
    return (rows[0] as { n: number }).n;
  }

  async append(messages: readonly StoredMessage[], max: number): Promise<Appended> {
    const client = await this.#pool.connect();
    let lost: Error | undefined;
    const onLost = (error: Error): void => {
      lost = error;
    };
    client.on('error', onLost);
    try {
      const appended = await this.#appendAlone(client, messages, max);
      client.release(lost);
      return appended;
    } catch (error) {
      // With its connection the transaction ends too.
      client.release(true);
      throw error;
    } finally {
      client.removeListener('error', onLost);
    }
  }

  /**
   * One process at a time counts and appends, whichever of them sends, so that the bound holds for all of
   * them together. Each statement must see what was committed before it, whatever the server's default;
   * and a process that is frozen within must not hold up the others.
   */
  async #appendAlone(
    client: Client,
    messages: readonly StoredMessage[],
    max: number,
  ): Promise<Appended> {
    const lock = `@resil/kafkajs append to ${this.#table}`;
    await client.query(
      `begin isolation level read committed; set local idle_in_transaction_session_timeout = ${APPEND_TIMEOUT}; select pg_advisory_xact_lock(hashtextextended('${lock}', 0))`,
    );
    const { rows } = await client.query(
      `with held as (select count(*)::int as n from ${this.#table}), added as (
        insert into ${this.#table} (message)
        select m from unnest($1::text[]) with ordinality as t(m, i), held
        where held.n + $2::int <= $3::int order by i returning 1
      ) select n, (select count(*)::int from added) as added from held`,
      [messages.map(encodeMessage), messages.length, max],
    );
    await client.query('commit');
    const { n, added } = rows[0] as { n: number; added: number };
    return { kept: added === messages.length, size: n + added };
  }

  async enqueue(client: Queryable, record: ProducerRecord): Promise<void> {
    const { topicMessages } = readRecord(record);
    const messages = topicMessages.flatMap(({ topic, messages: own }) =>
      own.map((message) => ({ topic, message })),
    );
    await this.#insert(client, messages);
  }

  async oldest(max: number): Promise<readonly StoredEntry[]> {
    const holder = await this.#hold();
    if (holder === undefined) return [];
    const { rows } = await this.#safely(holder, () =>
      // The column's order, not that of the text which is asked for: '10' stands before '9'.
      holder.query(
        `select kept.id::text, message from ${this.#table} as kept order by kept.id limit $1`,
        [max],
      ),
    );
    return (rows as Row[]).map(({ id, message }) => ({ id, ...decodeMessage(message) }));
  }

  async remove(entries: readonly StoredEntry[]): Promise<number> {
    const { rows } = await this.#pool.query(
      `delete from ${this.#table} where id = any($1::bigint[]) returning 1 as gone`,
      [entries.map(({ id }) => id)],
    );
    return rows.length;
  }

  async drop(count: number): Promise<number> {
    // Without the lock: room must be made while another process has it, too.
    const { rows } = await this.#pool.query(
      `delete from ${this.#table} where id in (select kept.id from ${this.#table} as kept order by kept.id limit $1) returning 1 as gone`,
      [count],
    );
    return rows.length;
  }

  async close(): Promise<void> {
    this.#drop(this.#holder);
  }

  /** The client that holds the lock; `undefined` while another process has it. */
  async #hold(): Promise<Client | undefined> {
    if (this.#holder !== undefined) return this.#holder;
    const client = await this.#pool.connect();
    // A pool takes its own listener off a client that it lends. Without one, a connection that ends
    // while nothing is asked of it would end the process.
    const lost = (): void => this.#drop(client);
    client.on('error', lost);
    let held: boolean | undefined;
    try {
      const { rows } = await client.query(
        'select pg_try_advisory_lock(hashtextextended($1, 0)) as held',
        [`@resil/kafkajs ${this.#table}`],
      );
      held = (rows[0] as { held: boolean }).held;
    } finally {
      if (held !== true) {
        client.release(held === undefined);
        client.removeListener('error', lost);
      }
    }
    if (!held) return undefined;
    this.#holder = client;
    return client;
  }

  /** Gives the holder back to be closed: with its connection the lock goes too. */
  #drop(client: Client | undefined): void {
    if (client === undefined || this.#holder !== client) return;
    this.#holder = undefined;
    client.release(true);
  }

  async #safely<T>(holder: Client, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#drop(holder);
      throw error;
    }
  }

  async #insert(client: Queryable, messages: readonly StoredMessage[]): Promise<void> {
    await client.query(
      `insert into ${this.#table} (message) select m from unnest($1::text[]) with ordinality as t(m, n) order by n`,
      [messages.map(encodeMessage)],
    );
  }
}
