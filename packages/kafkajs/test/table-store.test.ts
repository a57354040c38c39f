import { type PostgresServer, startPostgres } from '@resil/testbed';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { tableStore } from '../src/index.js';

describe('tableStore on a real PostgreSQL', () => {
  let postgres: PostgresServer;
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterAll(() => postgres?.close());

  it('survives the death of the server while its client is held and idle', async () => {
    const pool = new pg.Pool(postgres.connection);
    pool.on('error', () => {});
    onTestFinished(() => pool.end());
    const uncaught: unknown[] = [];
    const onUncaught = (error: unknown) => uncaught.push(error);
    process.on('uncaughtException', onUncaught);
    onTestFinished(() => void process.off('uncaughtException', onUncaught));
    const store = tableStore({ pool });
    await store.open();
    await store.append([{ topic: 't', message: { value: 'kept' } }]);
    expect(await store.oldest(1)).toHaveLength(1);
    const held = pool.totalCount - pool.idleCount;
    const removed = new Promise((done) => pool.on('remove', done));
    await postgres.kill();
    await removed;
    await expect(store.oldest(1)).rejects.toThrow();
    await postgres.start();
    // A new client, with the lock: the old one's ended with its connection.
    expect(await store.oldest(1)).toMatchObject([{ message: { value: 'kept' } }]);
    expect([held, pool.totalCount - pool.idleCount]).toEqual([1, 1]);
    await store.close();
    expect(pool.totalCount - pool.idleCount).toBe(0);
    expect(uncaught).toEqual([]);
  });
});
