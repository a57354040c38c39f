import { type PostgresServer, startPostgres } from '@resil/testbed';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { outbox, type QueryablePool, tableStore } from '../src/index.js';
import type { Ticket } from '../src/outbox-intake.js';
import { until } from './cluster.js';

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
    await store.append([{ topic: 't', message: { value: 'kept' } }], 10);
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

  describe('shared by processes', () => {
    const MAX = 20;
    let tables = 0;

    /** Two outboxes on one table, as in two processes. The first has the lock. */
    async function two(whenFull: 'refuse' | 'drop-oldest') {
      const pool = new pg.Pool(postgres.connection);
      pool.on('error', () => {});
      const table = `shared_${tables++}`;
      const dropped: number[] = [];
      const stores = [tableStore({ pool, table }), tableStore({ pool, table })] as const;
      const boxes = stores.map((store) =>
        outbox({ store, maxMessages: MAX, whenFull, onDropped: (count) => dropped.push(count) }),
      );
      onTestFinished(async () => {
        for (const store of stores) await store.close();
        await pool.end();
      });
      for (const store of stores) await store.open();
      const [first, second] = stores;
      const one = { topic: 't', message: { value: 'held' } };
      await first.append([one], MAX);
      expect(await first.oldest(1)).toHaveLength(1);
      expect(await second.oldest(1)).toEqual([]);
      const keep = async (index: number, value: string): Promise<string> => {
        const ticket = (boxes[index] as unknown as { enter(): Ticket }).enter();
        const kept = ticket.keep([{ topic: 't', messages: [{ value }] }], {});
        return kept
          .then(
            () => 'kept',
            ({ code }: { code: string }) => code,
          )
          .finally(() => ticket.leave());
      };
      const values = async (): Promise<unknown[]> =>
        (await first.oldest(1_000)).map(({ message }) => message.value);
      return { pool, table, stores, keep, dropped, values };
    }

    it('refuses at the bound, which is that of all of them together', async () => {
      const { keep, stores } = await two('refuse');
      const outcomes: Promise<string>[] = [];
      for (let i = 0; i < 3 * MAX; i += 1) {
        outcomes.push(keep(i % 2, String(i)));
        // Groups of both meet in many ways.
        if (i % 3 === 0) await new Promise((done) => setImmediate(done));
      }
      const told = await Promise.all(outcomes);
      const kept = told.filter((outcome) => outcome === 'kept').length;
      expect(new Set(told)).toEqual(new Set(['kept', 'RESIL_OUTBOX_FULL']));
      expect(await stores[0].size()).toBe(MAX);
      expect(kept).toBe(MAX - 1);
    });

    it('drops the oldest, also where another process has the lock', async () => {
      const { keep, stores, dropped, values } = await two('drop-oldest');
      for (let i = 0; i < MAX + 5; i += 1) {
        expect(await keep(1, String(i))).toBe('kept');
        expect(await stores[0].size()).toBeLessThanOrEqual(MAX);
      }
      expect(await values()).toEqual(Array.from({ length: MAX }, (_, i) => String(i + 5)));
      expect(dropped.reduce((sum, count) => sum + count, 0)).toBe(6);
    });

    it('counts what enqueue keeps, and never refuses it', async () => {
      const { keep, pool, stores } = await two('refuse');
      const messages = Array.from({ length: MAX + 1 }, () => ({ value: 'enqueued' }));
      await stores[0].enqueue(pool, { topic: 't', messages });
      expect(await keep(1, 'late')).toBe('RESIL_OUTBOX_FULL');
      expect(await stores[0].size()).toBe(MAX + 2);
    });

    /** The pool, whose clients run `before` ahead of each statement. */
    const watched = (
      pool: pg.Pool,
      before: (text: string, client: pg.PoolClient) => Promise<unknown>,
    ): QueryablePool => ({
      query: pool.query.bind(pool),
      connect: async () => {
        const client = await pool.connect();
        return {
          query: async (text, values) => {
            await before(text, client);
            return client.query(text, values);
          },
          release: client.release.bind(client),
          on: client.on.bind(client),
          removeListener: client.removeListener.bind(client),
        };
      },
    });
    const one = { topic: 't', message: { value: 'one' } };

    it('counts what another process has appended and not committed yet', async () => {
      const { pool, table, stores } = await two('refuse');
      let commit = (): void => {};
      const committing = new Promise<void>((resolve) => {
        commit = resolve;
      });
      let inserted = false;
      const slow = watched(pool, async (text) => {
        if (text !== 'commit') return;
        inserted = true;
        await committing;
      });
      const first = tableStore({ pool: slow, table }).append(Array(MAX - 1).fill(one), MAX);
      await until(() => inserted);
      let settled = false;
      const second = stores[1].append([one], MAX).finally(() => {
        settled = true;
      });
      await until(async () => {
        const { rows } = await pool.query('select 1 from pg_locks where not granted');
        return settled || rows.length > 0;
      });
      commit();
      expect(await first).toEqual({ kept: true, size: MAX });
      expect(await second).toEqual({ kept: false, size: MAX });
    });

    it('has the server end an append that freezes, so that it holds up no other', async () => {
      const { pool, table } = await two('refuse');
      const limits: unknown[] = [];
      const asking = watched(pool, async (text, client) => {
        if (!text.includes('insert')) return;
        limits.push(...(await client.query('show idle_in_transaction_session_timeout')).rows);
      });
      const appended = await tableStore({ pool: asking, table }).append([one], MAX);
      expect(appended).toEqual({ kept: true, size: 2 });
      expect(limits).toEqual([{ idle_in_transaction_session_timeout: '5s' }]);
      // Of the transaction alone.
      const { rows } = await pool.query('show idle_in_transaction_session_timeout');
      expect(rows).toEqual([{ idle_in_transaction_session_timeout: '0' }]);
    });
  });
});
