import { expect, it } from 'vitest';
import { transaction } from '../src/index.js';
import { describeKafka, QUICK, rejection } from './cluster.js';

const CLIENT = { ...QUICK, requestTimeout: 1_000 };
let ids = 0;
const config = () => {
  ids += 1;
  return { idempotent: true, transactionalId: `tx-${process.pid}-${ids}`, maxInFlightRequests: 1 };
};

describeKafka('transactions', { nodes: 1 }, (lab) => {
  it('commit what fn has sent, and give what it gave', async () => {
    const topic = await lab.topic(3);
    const producer = await lab.producer({}, config(), CLIENT);
    const result = await transaction(producer, async (tx) => {
      const messages = ['a', 'b', 'c'].map((value, partition) => ({ value, partition }));
      await tx.send({ topic, messages });
      return 7;
    });
    expect(result).toBe(7);
    expect((await lab.values(topic)).sort()).toEqual(['a', 'b', 'c']);
  });

  it('abort when fn throws, without a second run', async () => {
    const topic = await lab.topic(1);
    const producer = await lab.producer({}, config(), CLIENT);
    let runs = 0;
    const error = new Error('no');
    const failed = transaction(producer, async (tx) => {
      runs += 1;
      await tx.send({ topic, messages: [{ value: 'a' }] });
      throw error;
    });
    expect(await rejection(failed)).toBe(error);
    await transaction(producer, async (tx) => {
      await tx.send({ topic, messages: [{ value: 'b' }] });
    });
    expect(await lab.values(topic)).toEqual(['b']);
    expect(runs).toBe(1);
  });

  it('say that the outcome of a commit is unknown, never run it again, and go on', async () => {
    const topic = await lab.topic(1);
    const producer = await lab.producer({}, config(), CLIENT);
    let runs = 0;
    const failed = transaction(producer, async (tx) => {
      runs += 1;
      await tx.send({ topic, messages: [{ value: 'a' }] });
      // The coordinator is found (its address is told), then nothing is answered any more.
      const cut = { direction: 'response', afterPattern: '127.0.0.1', afterBytes: 4 } as const;
      await lab.cluster.node(1).proxy.set({ cut: { ...cut, by: 'black-hole' } });
    });
    const error = await rejection(failed);
    await lab.cluster.node(1).proxy.clear();
    lab.cluster.node(1).proxy.resetConnections();
    expect(error.code).toBe('RESIL_OUTCOME_UNKNOWN');
    expect(runs).toBe(1);
    await transaction(producer, async (tx) => {
      await tx.send({ topic, messages: [{ value: 'b' }] });
    });
    // It had been committed: a second run would have doubled it.
    expect(await lab.values(topic)).toEqual(['a', 'b']);
  });

  it('tell a commit that was not sent from one that was not answered, and may be run again', async () => {
    const topic = await lab.topic(1);
    const producer = await lab.producer({}, config(), CLIENT);
    const run = (value: string, before: () => Promise<void>) =>
      transaction(
        producer,
        async (tx) => {
          await tx.send({ topic, messages: [{ value }] });
          await before();
        },
        { maxAttempts: 1 },
      );
    // Not even the coordinator is found.
    const error = await rejection(
      run('a', () => lab.cluster.node(1).proxy.set({ response: { mode: 'black-hole' } })),
    );
    await lab.cluster.node(1).proxy.clear();
    lab.cluster.node(1).proxy.resetConnections();
    expect(error.name).toMatch(/^KafkaJS/);
    await run('b', async () => {});
    expect(await lab.values(topic)).toEqual(['b']);
  });

  it('go on with another producer object when another process has fenced this one', async () => {
    const topic = await lab.topic(1);
    const own = config();
    const producer = await lab.producer({}, own, CLIENT);
    await transaction(producer, async (tx) => {
      await tx.send({ topic, messages: [{ value: 'a' }] });
    });
    const other = await lab.producer({}, own, CLIENT);
    await transaction(other, async (tx) => {
      await tx.send({ topic, messages: [{ value: 'b' }] });
    });
    const fenced = transaction(producer, async (tx) => {
      await tx.send({ topic, messages: [{ value: 'c' }] });
    });
    expect((await rejection(fenced)).message).toMatch(/epoch|fenced/i);
    await transaction(producer, async (tx) => {
      await tx.send({ topic, messages: [{ value: 'd' }] });
    });
    expect(await lab.values(topic)).toEqual(['a', 'b', 'd']);
  });

  it('refuse to commit when a send has failed', async () => {
    const topic = await lab.topic(1);
    const producer = await lab.producer({}, config(), CLIENT);
    const tx = await producer.transaction();
    await tx.send({ topic, messages: [{ value: 'a' }] });
    const failed = await rejection(tx.send({ topic, messages: [{ value: 'b', partition: 9 }] }));
    expect(await rejection(tx.commit())).toMatchObject({
      code: 'RESIL_TRANSACTION_FAILED',
      cause: failed,
    });
    expect(await lab.values(topic)).toEqual([]);
    const next = await producer.transaction();
    await next.send({ topic, messages: [{ value: 'c' }] });
    await next.commit();
    expect(await lab.values(topic)).toEqual(['c']);
  });

  it('refuse what is no resilient producer, and no function', async () => {
    const bare = lab.cluster.client().producer({ createPartitioner: () => () => 0 });
    expect((await rejection(transaction(bare, async () => {}))).message).toMatch(/resilient/);
    const producer = await lab.producer({}, config(), CLIENT);
    expect((await rejection(transaction(producer, 7 as never))).message).toMatch(/function/);
    const options = { maxAttempts: 0 };
    expect((await rejection(transaction(producer, async () => {}, options))).message).toMatch(
      /maxAttempts.*0/,
    );
  });
});

describeKafka('transactions on three brokers', { nodes: 3 }, (lab) => {
  it('lose nothing that was committed when a broker stalls and dies', async () => {
    const topic = await lab.topic(6);
    const producer = await lab.producer({ attemptTimeout: 60_000 }, config(), {
      ...QUICK,
      requestTimeout: 20_000,
    });
    const expected: string[] = [];
    let runs = 0;
    await transaction(
      producer,
      async (tx) => {
        runs += 1;
        expected.length = 0;
        await tx.send({ topic, messages: [{ value: `${runs} first` }] });
        expected.push(`${runs} first`);
        const victim = lab.cluster.node(2);
        if (runs === 1) await victim.pause();
        const sends = Array.from({ length: 10 }, (_, i) => {
          const messages = Array.from({ length: 6 }, (__, partition) => {
            const value = `${runs} ${i}/${partition}`;
            expected.push(value);
            return { partition, value };
          });
          return tx.send({ topic, messages });
        });
        if (runs === 1) setTimeout(() => victim.kill(), 500);
        await Promise.all(sends);
      },
      { maxAttempts: 5, baseDelay: 500 },
    );
    await lab.cluster.heal([topic]);
    expect((await lab.values(topic)).sort()).toEqual([...expected].sort());
  });
});
