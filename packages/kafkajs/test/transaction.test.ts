import { observe } from '@resil/core';
import type { KafkaNode } from '@resil/testbed';
import type { Transaction } from 'kafkajs';
import { expect, it } from 'vitest';
import { transaction } from '../src/index.js';
import { describeKafka, QUICK, rejection, type TestCluster } from './cluster.js';
import { API, WatchedSockets } from './sockets.js';

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
    // The coordinator answers before the partitions have heard of the commit.
    const committed = async (): Promise<string[]> => (await lab.values(topic)).sort();
    await expect.poll(committed, { timeout: 20_000 }).toEqual(['a', 'b', 'c']);
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

  it('lose nothing after one that was aborted because a send was not answered', async () => {
    const topic = await lab.topic(1);
    const retry = { retries: 1, initialRetryTime: 50, maxRetryTime: 100 };
    const producer = await lab.producer(
      {},
      { ...config(), retry },
      { ...QUICK, requestTimeout: 400 },
    );
    const tx = await producer.transaction();
    await tx.send({ topic, messages: [{ value: 'aborted' }] });
    await lab.cluster.node(1).pause();
    // The broker writes it later, under a sequence number that kafkajs has taken back.
    await rejection(tx.send({ topic, messages: [{ value: 'not answered' }] }));
    await lab.cluster.node(1).resume();
    await tx.abort();
    await transaction(producer, async (next) => {
      for (const value of ['a', 'b']) await next.send({ topic, messages: [{ value }] });
    });
    expect(await lab.values(topic)).toEqual(['a', 'b']);
  });

  it('go by the key of the cluster as a whole, and of the topic for their sends', async () => {
    const topic = await lab.topic(1);
    const events: string[] = [];
    const stop = observe((event) => {
      if (event.type === 'call.succeeded') events.push(`${event.name} ${event.key}`);
    });
    const producer = await lab.producer({ keyBy: 'topic' }, config(), CLIENT);
    const tx = await producer.transaction();
    await tx.send({ topic, messages: [{ value: 'a' }] });
    await tx.send({ topic, messages: [{ value: 'b' }], resilience: { key: 'own' } });
    await tx.commit();
    stop();
    expect(events).toEqual([
      'transaction cluster',
      `${topic} ${topic}`,
      `${topic} own`,
      'transaction cluster',
    ]);
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

/** The broker that keeps a transactional id: `abs(hash) % partitions`, as Kafka's TransactionStateManager does. */
async function coordinatorOf(lab: TestCluster, id: string): Promise<KafkaNode> {
  const { topics } = await lab.cluster.withAdmin((admin) =>
    admin.fetchTopicMetadata({ topics: ['__transaction_state'] }),
  );
  const partitions = topics[0]?.partitions ?? [];
  const hash = [...id].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) | 0, 0);
  const at = Math.abs(hash) % partitions.length;
  const leader = partitions.find(({ partitionId }) => partitionId === at)?.leader;
  return lab.cluster.node(leader as number);
}

/** A process that is dead refuses connections; the proxy in front of it must too. */
async function crash(node: KafkaNode): Promise<void> {
  await node.kill();
  await node.proxy.set({ mode: 'refuse' });
  node.proxy.resetConnections();
}

/** What happens to the coordinator while the end is on its way; `late` is what goes on when it has left. */
interface EndFault {
  readonly name: string;
  before(node: KafkaNode): Promise<unknown>;
  late?(node: KafkaNode): Promise<unknown>;
}

const ends: readonly EndFault[] = [
  {
    name: 'its coordinator is killed',
    // It might answer before it dies.
    before: (node) => node.proxy.set({ response: { mode: 'black-hole' } }),
    late: async (node) => {
      await new Promise((done) => setTimeout(done, 5));
      await crash(node);
    },
  },
  {
    name: 'the answer is cut',
    before: (node) => node.proxy.set({ cut: { direction: 'response', afterBytes: 0 } }),
  },
  { name: 'its coordinator freezes', before: (node) => node.pause() },
];

describeKafka('the end of a transaction on three brokers', { nodes: 3 }, (lab) => {
  async function started() {
    const topic = await lab.topic(3);
    const sockets = new WatchedSockets();
    const client = { ...CLIENT, socketFactory: sockets.factory };
    const own = config();
    const options = { attemptTimeout: 60_000, circuitBreaker: false } as const;
    const producer = await lab.producer(options, own, client);
    const send = (tx: Transaction, name: string) =>
      tx.send({
        topic,
        messages: [0, 1, 2].map((partition) => ({ partition, value: `${name}${partition}` })),
      });
    await transaction(producer, (tx) => send(tx, 'first'));
    const coordinator = await coordinatorOf(lab, own.transactionalId);
    let left = 0;
    let late: Promise<unknown> | undefined;
    const whenEndLeaves = (fault: EndFault) =>
      sockets.before((apiKey) => {
        if (apiKey !== API.endTxn) return undefined;
        left += 1;
        sockets.before(undefined);
        const before = fault.before(coordinator);
        late = before.then(() => fault.late?.(coordinator));
        return before;
      });
    const end = async (name: string): Promise<string[]> => {
      await late;
      await lab.cluster.heal([topic]);
      await transaction(producer, (tx) => send(tx, 'last'), { maxAttempts: 10 });
      const values = await lab.values(topic);
      expect(values.filter((value) => /^(first|last)/.test(value))).toHaveLength(6);
      return values.filter((value) => value.startsWith(name)).sort();
    };
    return { producer, coordinator, send, whenEndLeaves, left: () => left, end };
  }

  it('commits once when its coordinator is killed before the commit', async () => {
    const { producer, coordinator, send, end } = await started();
    let runs = 0;
    await transaction(
      producer,
      async (tx) => {
        runs += 1;
        await send(tx, `run ${runs} `);
        if (runs === 1) await crash(coordinator);
      },
      { maxAttempts: 10, baseDelay: 500 },
    );
    const committed = await end('run');
    expect(committed).toEqual([0, 1, 2].map((partition) => `run ${runs} ${partition}`));
  });

  it.each(ends)(
    'says that the outcome is unknown when the commit has left and $name',
    async (fault) => {
      const { producer, send, whenEndLeaves, left, end } = await started();
      let runs = 0;
      const failed = transaction(producer, async (tx) => {
        runs += 1;
        await send(tx, 'unknown ');
        whenEndLeaves(fault);
      });
      expect(await rejection(failed)).toMatchObject({ code: 'RESIL_OUTCOME_UNKNOWN' });
      expect([runs, left()]).toEqual([1, 1]);
      const found = await end('unknown');
      console.log(`a commit of unknown outcome: ${found.length} of 3 messages were committed`);
      expect([0, 3]).toContain(found.length);
    },
  );

  it.each(ends)('writes nothing and goes on when the abort has left and $name', async (fault) => {
    const { producer, send, whenEndLeaves, left, end } = await started();
    const tx = await producer.transaction();
    await send(tx, 'aborted ');
    whenEndLeaves(fault);
    expect((await rejection(tx.abort())).name).toMatch(/^KafkaJS/);
    expect(left()).toBe(1);
    expect(await end('aborted')).toEqual([]);
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
