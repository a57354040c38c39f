import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@resil/testbed';
import { seededRandom } from '@resil/testing';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileStore, type OutboxStore, outbox, tableStore } from '../src/index.js';
import { compare, describeKafka, QUICK, rejection, until } from './cluster.js';
import { expectNothingLost, outboxRounds, Service } from './outbox-rounds.js';

const FAST = {
  attemptTimeout: 400,
  circuitBreaker: { failureThreshold: 3, resetTimeout: 300 },
} as const;

describeKafka('an outbox', { nodes: 1 }, (lab) => {
  let postgres: PostgresServer;
  let pool: pg.Pool;
  let folder: string;
  let tables = 0;

  beforeAll(async () => {
    postgres = await startPostgres();
    pool = new pg.Pool({ ...postgres.connection, max: 6 });
    pool.on('error', () => {});
    folder = await mkdtemp(join(tmpdir(), 'resil-outbox-'));
  });
  afterAll(async () => {
    await pool?.end();
    await postgres?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const stores: Record<string, () => OutboxStore> = {
    file: () => fileStore({ path: join(folder, `${tables++}.log`) }),
    table: () => tableStore({ pool, table: `outbox_${tables++}` }),
  };

  it.each(['file', 'table'])(
    'keeps what can not be sent and sends it in order: %s',
    async (kind) => {
      const topic = await lab.topic(1);
      const box = outbox({ store: (stores[kind] as () => OutboxStore)(), retryDelay: 100 });
      const producer = await lab.producer({ ...FAST, fallback: box });
      const values: string[] = [];
      const send = (count: number) =>
        Promise.all(
          Array.from({ length: count }, () => {
            values.push(String(values.length));
            return producer.send({
              topic,
              messages: [{ key: 'k', value: String(values.length - 1) }],
            });
          }),
        );
      await send(3);
      await lab.cluster.node(1).pause();
      for (let i = 0; i < 5; i += 1) await send(10);
      expect(box.size).toBeGreaterThan(0);
      await lab.cluster.node(1).resume();
      await box.drained();
      await send(3);
      const found = await lab.values(topic);
      expect(compare(values, found).missing).toBe(0);
      expect([...new Set(found)]).toEqual(values);
      expect(box.size).toBe(0);
    },
  );

  it('is bounded, and does at the bound what was asked', async () => {
    const topic = await lab.topic(1);
    const dropped: number[] = [];
    const boxes = (['refuse', 'drop-oldest'] as const).map((whenFull) =>
      outbox({
        store: (stores.file as () => OutboxStore)(),
        maxMessages: 3,
        whenFull,
        onDropped: (count) => dropped.push(count),
      }),
    );
    const producers = await Promise.all(
      boxes.map((fallback) => lab.producer({ ...FAST, fallback })),
    );
    await lab.cluster.node(1).proxy.set({ mode: 'refuse' });
    lab.cluster.node(1).proxy.resetConnections();
    const [refusing, dropping] = await Promise.all(
      producers.map(async (producer) => {
        const outcomes: string[] = [];
        for (const value of ['a', 'b', 'c', 'd']) {
          const sent = producer.send({ topic, messages: [{ value }] });
          outcomes.push(
            await sent.then(
              () => 'kept',
              ({ code }: { code: string }) => code,
            ),
          );
        }
        return outcomes;
      }),
    );
    expect(refusing).toEqual(['kept', 'kept', 'kept', 'RESIL_OUTBOX_FULL']);
    expect(dropping).toEqual(['kept', 'kept', 'kept', 'kept']);
    expect(dropped).toEqual([1]);
    expect(boxes.map(({ size }) => size)).toEqual([3, 3]);
  });

  it("keeps messages within the caller's own transaction", async () => {
    const topic = await lab.topic(1);
    const store = tableStore({ pool, table: `outbox_${tables++}` });
    const box = outbox({ store, retryDelay: 100 });
    await lab.producer({ fallback: box });
    for (const end of ['rollback', 'commit']) {
      const client = await pool.connect();
      await client.query('begin');
      await store.enqueue(client, { topic, messages: [{ value: end, headers: { a: 'b' } }] });
      await client.query(end);
      client.release();
    }
    await until(async () => (await lab.values(topic)).length > 0);
    expect(await lab.values(topic)).toEqual(['commit']);
  });

  it('has the order of the appends in a table, whatever their number', async () => {
    const store = tableStore({ pool, table: `outbox_${tables++}` });
    await store.open();
    const values = Array.from({ length: 101 }, (_, i) => String(i));
    for (const value of values) await store.append([{ topic: 't', message: { value } }], 1_000);
    const oldest = await store.oldest(1_000);
    expect(oldest.map(({ message }) => message.value)).toEqual(values);
    expect(await store.remove(oldest.slice(0, 100))).toBe(100);
    expect(await store.size()).toBe(1);
    await store.close();
  });

  it('tells what it can never send, and goes on', async () => {
    const topic = await lab.topic(1);
    const errors: unknown[] = [];
    const store = (stores.file as () => OutboxStore)();
    await store.open();
    await store.append(
      [
        { topic, message: { value: 'x'.repeat(2_000_000) } },
        { topic, message: { value: 'next' } },
      ],
      10,
    );
    const box = outbox({ store, onDropped: (_, error) => errors.push(error) });
    await lab.producer({ fallback: box });
    await box.drained();
    expect(await lab.values(topic)).toEqual(['next']);
    expect(errors).toMatchObject([{ type: 'MESSAGE_TOO_LARGE' }]);
  });

  it('does not keep what is the caller’s own fault', async () => {
    const topic = await lab.topic(1);
    const box = outbox({ store: (stores.file as () => OutboxStore)() });
    const producer = await lab.producer({ fallback: box }, {}, QUICK);
    const value = 'x'.repeat(2_000_000);
    const error = await rejection(producer.send({ topic, messages: [{ value }] }));
    expect(error).toMatchObject({ type: 'MESSAGE_TOO_LARGE' });
    expect(box.size).toBe(0);
  });

  it.each(['file', 'table'])(
    'loses nothing that was accepted when its process and the broker are killed at any moment: %s',
    { timeout: 300_000 },
    async (kind) => {
      const outcome = await outboxRounds(lab, {
        rounds: 4,
        random: seededRandom(7),
        ...(kind === 'table' && { postgres }),
      });
      console.log(`outbox in a ${kind}, 4 rounds: ${JSON.stringify(outcome)}`);
      expectNothingLost(outcome, 4);
    },
  );
});

describe('rounds of killed services', () => {
  const fine = { accepted: 1_000, refused: 0, missing: 0, doubled: 3, disordered: 0 };
  it.each([
    ['nothing was accepted', { accepted: 0 }],
    ['something was refused', { refused: 1 }],
    ['something is missing', { missing: 1 }],
    ['a key is out of order', { disordered: 1 }],
  ])('fail where %s', (_, wrong) => {
    expectNothingLost(fine, 4);
    expect(() => expectNothingLost({ ...fine, ...wrong }, 4)).toThrow();
  });

  it('fail where a service dies before it is ready, or before it is done', async () => {
    // It has no file to keep anything in.
    const service = new Service({ brokers: '127.0.0.1:1', topic: 't', keys: 1, path: '' });
    await expect(service.ready).rejects.toThrow('before it was ready: exit code 1');
    await expect(service.done()).rejects.toThrow('before it was done: exit code 1');
  });
});

describe('bad input of outboxes', () => {
  it.each([
    [{}, /outbox\.store/],
    [{ store: {} }, /outbox\.store/],
    [{ store: { append() {} }, maxMessages: 0 }, /maxMessages.*0/],
    [{ store: { append() {} }, maxMessages: Infinity }, /maxMessages/],
    [{ store: { append() {} }, whenFull: 'wait' }, /whenFull.*wait/],
    [{ store: { append() {} }, keepTimeout: 0 }, /keepTimeout.*0/],
  ])('is refused with option, value and rule (%#)', (options, message) => {
    expect(() => outbox(options as never)).toThrow(message);
  });

  it('refuses a table that is not the name of one', () => {
    const pool = { query() {}, connect() {} };
    expect(() => tableStore({ pool, table: 'a; drop table b' } as never)).toThrow(
      /tableStore\.table/,
    );
    expect(() => tableStore({} as never)).toThrow(/tableStore\.pool/);
  });
});
