/** Real use by the libraries that stand on pg: a transaction that rolls back, a query that streams. */
import { PrismaPg } from '@prisma/adapter-pg';
import { observe } from '@resil/core';
import { recordEvents } from '@resil/testing';
import { eq } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { integer, pgTable } from 'drizzle-orm/pg-core';
import knexPackage from 'knex';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import Cursor from 'pg-cursor';
import { DataSource, EntitySchema } from 'typeorm';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { resilient, resilientDriver } from '../src/index.js';
import { rejection, TestServer, until } from './server.js';

describe('a wrapped pool under', () => {
  const bench = new TestServer();
  beforeAll(() => bench.admin.query('create table items (id int primary key)'));
  beforeEach(() => bench.admin.query('truncate items'));
  const mine = new Error('changed my mind');
  const items = (): Promise<number> => bench.count('items');

  it('drizzle', async () => {
    const table = pgTable('items', { id: integer().primaryKey() });
    const pool = resilient(bench.pool());
    const db = drizzle(pool);
    const failed = db.transaction(async (tx) => {
      await tx.insert(table).values({ id: 1 });
      expect(await tx.select().from(table)).toEqual([{ id: 1 }]);
      throw mine;
    });
    expect(await rejection(failed)).toBe(mine);
    expect(await items()).toBe(0);
    await db.transaction((tx) => tx.insert(table).values({ id: 2 }));
    expect(await db.select().from(table).where(eq(table.id, 2))).toEqual([{ id: 2 }]);
    expect((await rejection(db.insert(table).values({ id: 2 }))).cause).toMatchObject({
      code: '23505',
    });
    expect(pool.idleCount).toBe(pool.totalCount);
  });

  it('kysely', async () => {
    const pool = resilient(bench.pool());
    const created: unknown[] = [];
    const db = new Kysely<{ items: { id: number } }>({
      dialect: new PostgresDialect({
        pool,
        cursor: Cursor,
        onCreateConnection: async (connection) => {
          created.push(connection);
        },
      }),
    });
    const failed = db.transaction().execute(async (tx) => {
      await tx.insertInto('items').values({ id: 1 }).execute();
      throw mine;
    });
    expect(await rejection(failed)).toBe(mine);
    expect(await items()).toBe(0);
    await db
      .insertInto('items')
      .values([{ id: 1 }, { id: 2 }, { id: 3 }])
      .execute();
    const seen: number[] = [];
    for await (const { id } of db.selectFrom('items').selectAll().orderBy('id').stream(1))
      seen.push(id);
    expect(seen).toEqual([1, 2, 3]);
    expect(created).toHaveLength(1);
    expect(pool.idleCount).toBe(pool.totalCount);
    await db.destroy();
    expect(pool.ended).toBe(true);
  });

  it('knex, as its connectionPool', async () => {
    const pool = resilient(bench.pool());
    const knex = knexPackage({ client: 'pg', connectionPool: pool } as never);
    const failed = knex.transaction(async (tx) => {
      await tx('items').insert({ id: 1 });
      throw mine;
    });
    expect(await rejection(failed as unknown as Promise<unknown>)).toBe(mine);
    expect(await items()).toBe(0);
    await knex('items').insert([{ id: 1 }, { id: 2 }]);
    const seen: number[] = [];
    // In a transaction, because outside of one knex releases a connectionPool's client twice, wrapped or not.
    await knex.transaction(async (tx) => {
      for await (const { id } of tx('items').orderBy('id').stream()) seen.push(id);
    });
    expect(seen).toEqual([1, 2]);
    await until(() => pool.idleCount === pool.totalCount);
    await knex.destroy();
  });

  it('TypeORM, as its driver', async () => {
    const Item = new EntitySchema<{ id: number }>({
      name: 'items',
      columns: { id: { type: 'int', primary: true } },
    });
    const { connection } = bench.server;
    const source = new DataSource({
      type: 'postgres',
      host: connection.host,
      port: connection.port,
      username: connection.user,
      database: connection.database,
      entities: [Item],
      driver: resilientDriver(pg, { name: 'typeorm' }),
    });
    const recorder = recordEvents(observe);
    await source.initialize();
    const failed = source.transaction(async (manager) => {
      await manager.insert(Item, { id: 1 });
      throw mine;
    });
    expect(await rejection(failed)).toBe(mine);
    expect(await items()).toBe(0);
    await source.getRepository(Item).insert([{ id: 1 }, { id: 2 }]);
    const stream = await source.createQueryBuilder(Item, 'item').orderBy('item.id').stream();
    const seen: number[] = [];
    for await (const row of stream) seen.push((row as unknown as { item_id: number }).item_id);
    expect(seen).toEqual([1, 2]);
    await source.destroy();
    recorder.stop();
    expect(
      recorder.of('call.succeeded').filter(({ pipeline }) => pipeline === 'typeorm').length,
    ).toBeGreaterThan(5);
  });

  it('the factory of @prisma/adapter-pg', async () => {
    const pool = resilient(bench.pool());
    const adapter = await new PrismaPg(pool as never).connect();
    const raw = (sql: string, args: unknown[] = []) =>
      ({ sql, args, argTypes: args.map(() => ({ scalarType: 'int', arity: 'scalar' })) }) as never;
    const failed = await adapter.startTransaction();
    await failed.executeRaw(raw('insert into items values ($1)', [1]));
    await failed.executeRaw(raw('rollback'));
    await failed.rollback();
    expect(await items()).toBe(0);
    const kept = await adapter.startTransaction('SERIALIZABLE' as never);
    await kept.executeRaw(raw('insert into items values ($1)', [2]));
    await kept.executeRaw(raw('commit'));
    await kept.commit();
    expect((await adapter.queryRaw(raw('select id from items'))).rows).toEqual([[2]]);
    await adapter.dispose();
    expect(pool.idleCount).toBe(pool.totalCount);
  });
});
