/** The pool's own type survives: this file only has to compile. */
import { drizzle } from 'drizzle-orm/node-postgres';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { expectTypeOf } from 'vitest';
import { type QueryResilience, resilient, resilientDriver, transaction } from '../src/index.js';

interface Item {
  id: number;
}

class MyPool extends pg.Pool {
  readonly mine: string = 'mine';
}

export async function queries(): Promise<void> {
  const pool = resilient(new MyPool());
  expectTypeOf(pool).toEqualTypeOf<MyPool>();
  expectTypeOf(pool.mine).toEqualTypeOf<string>();
  expectTypeOf((await pool.query<Item>('select id from items')).rows).toEqualTypeOf<Item[]>();
  expectTypeOf((await pool.query<Item, [number]>('select $1', [1])).rows).toEqualTypeOf<Item[]>();
  expectTypeOf(await pool.query<[number]>({ text: 'select 1', rowMode: 'array' })).toEqualTypeOf<
    pg.QueryArrayResult<[number]>
  >();
  expectTypeOf(pool.query('select 1', (_error, result) => result.rows)).toEqualTypeOf<void>();
  const client = await pool.connect();
  expectTypeOf(client).toEqualTypeOf<pg.PoolClient>();
  expectTypeOf(client.query(new Cursor<Item>('select 1'))).toEqualTypeOf<Cursor<Item>>();
  expectTypeOf(client.query(new QueryStream('select 1'))).toEqualTypeOf<QueryStream>();
  pool.on('error', (error, lost) => {
    expectTypeOf(error).toEqualTypeOf<Error>();
    expectTypeOf(lost).toEqualTypeOf<pg.PoolClient>();
  });
}

export async function resilience(): Promise<void> {
  const pool = resilient(new pg.Pool(), {
    retry: { maxAttempts: 5 },
    bulkhead: false,
    maxWaiting: 10,
  });
  await pool.query({
    text: 'select 1',
    resilience: { idempotent: true, deadline: 5, priority: 1, key: 'a' },
  });
  await pool.query<Item>({
    text: 'select $1',
    values: [1],
    resilience: { signal: new AbortController().signal },
  });
  expectTypeOf<pg.QueryConfig['resilience']>().toEqualTypeOf<QueryResilience | undefined>();
  // @ts-expect-error no such option
  await pool.query({ text: 'select 1', resilience: { idempotend: true } });
  // @ts-expect-error no such option
  resilient(new pg.Pool(), { maxWait: 10 });
  expectTypeOf(resilient([new MyPool(), new MyPool()])).toEqualTypeOf<MyPool>();
  resilient([new pg.Pool()], { targetSessionAttrs: 'prefer-standby' });
  // @ts-expect-error no such part
  resilient(new pg.Pool(), { targetSessionAttrs: 'writable' });
  // @ts-expect-error not a pool
  resilient(new pg.Client());
}

export async function transactions(pool: pg.Pool): Promise<void> {
  const count = await transaction(pool, async (client) => {
    expectTypeOf(client).toEqualTypeOf<pg.PoolClient>();
    return (await client.query<Item>('select id from items')).rowCount;
  });
  expectTypeOf(count).toEqualTypeOf<number | null>();
  // @ts-expect-error no such level
  await transaction(pool, () => 1, { isolation: 'snapshot' });
}

export function libraries(): void {
  drizzle(resilient(new pg.Pool()));
  new Kysely({ dialect: new PostgresDialect({ pool: resilient(new pg.Pool()) }) });
  expectTypeOf(resilientDriver(pg)).toEqualTypeOf<typeof pg>();
}
