/**
 * A shop takes orders while its database is killed and comes back. Told twice: with a bare pool, and
 * with the same pool wrapped.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { transaction } from '@resil/pg';
import { startPostgres } from '@resil/testbed';
import pg from 'pg';
import { shopPool } from './clients.js';

/** Tells the story, line by line. */
export async function story(tell: (line: string) => void): Promise<void> {
  const server = await startPostgres({ onProgress: tell });
  const bare = new pg.Pool({ ...server.connection, max: 5 });
  bare.on('error', () => {}); // without a listener the first restart ends the process
  const pool = shopPool(server.connection);
  await pool.query(`
    create table orders (shop text, id int, primary key (shop, id));
    create table accounts (name text primary key, balance int not null);
    insert into accounts values ('ann', 100), ('bob', 100)`);

  /** Placing an order twice does no harm: it has an id, and the second time is passed over. */
  const place = (shop: string, db: pg.Pool, id: number): Promise<unknown> =>
    db.query({
      text: 'insert into orders values ($1, $2) on conflict do nothing',
      values: [shop, id],
      resilience: { idempotent: true },
    });

  /** 100 orders, 10 ms apart; PostgreSQL is killed after the 30th and started again 300 ms later. */
  const day = async (shop: string, db: pg.Pool): Promise<void> => {
    let restart: Promise<void> | undefined;
    const orders: Promise<boolean>[] = [];
    for (let id = 1; id <= 100; id += 1) {
      const placed = place(shop, db, id);
      orders.push(placed.then(() => true, () => false)); // biome-ignore format: one line
      if (id === 30) restart = server.kill().then(() => sleep(300)).then(() => server.start()); // biome-ignore format: one line
      await sleep(10);
    }
    await restart;
    const acknowledged = (await Promise.all(orders)).filter((ok) => ok).length;
    const { rows } = await pool.query('select count(*)::int as n from orders where shop = $1', [
      shop,
    ]);
    tell(`${shop}: ${acknowledged} of 100 orders acknowledged, ${rows[0].n} in the database`);
  };

  tell('PostgreSQL is killed in the middle of the day, and started again:');
  await day('  bare pool', bare);
  await day('  resilient', pool);

  tell('A report that nobody waits for any more is stopped on the server too:');
  const deadline = performance.now() + 200;
  const report = pool.query({ text: 'select pg_sleep(60)', resilience: { deadline } });
  const error: unknown = await report.catch((reason: unknown) => reason);
  await sleep(100);
  const { rows: running } = await pool.query(
    "select count(*)::int as n from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()",
  );
  tell(`  the caller got ${(error as { code: string }).code}; still running: ${running[0].n}`);

  tell('20 transfers at a time, serializable, each repeated as a whole when it meets another:');
  const transfer = (): Promise<void> =>
    transaction(
      pool,
      async (client) => {
        const { rows } = await client.query("select balance from accounts where name = 'ann'");
        const left = rows[0].balance - 1;
        await client.query("update accounts set balance = $1 where name = 'ann'", [left]);
        await client.query("update accounts set balance = balance + 1 where name = 'bob'");
      },
      { isolation: 'serializable', maxAttempts: 100, maxDelay: 100 },
    );
  await Promise.all(Array.from({ length: 20 }, transfer));
  const { rows: accounts } = await pool.query('select name, balance from accounts order by name');
  tell(`  ${accounts.map(({ name, balance }) => `${name} has ${balance}`).join(', ')}`);

  await Promise.all([bare.end(), pool.end()]);
  await server.close();
}
