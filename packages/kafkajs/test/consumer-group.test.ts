import { expect, it } from 'vitest';
import { describeKafka, until } from './cluster.js';
import { committed, consume, fill, numbers } from './consume.js';

const wait = (ms: number) => new Promise((done) => setTimeout(done, ms));

describeKafka('consumers of a resilient Kafka in their group', { nodes: 1 }, (lab) => {
  const session = { sessionTimeout: 2_000, heartbeatInterval: 200 };

  it('keep their place while a handler takes twice the session, retries included', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(2));
    const runs: string[] = [];
    const { joins, crashes, consumer, groupId } = await consume(
      lab,
      topic,
      async ({ message, resilience }) => {
        await wait(4_000);
        runs.push(`${message.value} ${resilience?.attempt}`);
        if (resilience?.attempt === 1) throw new Error('not yet');
      },
      {},
      session,
    );
    await until(() => runs.length === 4);
    expect(runs).toEqual(['0 1', '0 2', '1 1', '1 2']);
    await consumer.disconnect();
    expect(joins()).toBe(1);
    expect(crashes).toEqual([]);
    expect(await committed(lab, groupId, topic)).toEqual(['2']);
  });

  it('handle each message once when two share a topic and handlers are slow', async () => {
    const topic = await lab.topic(2);
    const producer = await lab.producer();
    for (const partition of [0, 1]) {
      const messages = numbers(2).map((value) => ({ value: `${partition}.${value}`, partition }));
      await producer.send({ topic, messages });
    }
    const groupId = `slow-${process.pid}`;
    const runs: string[] = [];
    const slow = async ({ message }: { message: { value: Buffer | null } }) => {
      await wait(5_000);
      runs.push(String(message.value));
    };
    const first = await consume(lab, topic, slow, {}, { ...session, groupId });
    const second = await consume(lab, topic, slow, {}, { ...session, groupId });
    await until(() => runs.length === 4);
    await Promise.all([first.consumer.disconnect(), second.consumer.disconnect()]);
    expect([...runs].sort()).toEqual(['0.0', '0.1', '1.0', '1.1']);
    expect(await committed(lab, groupId, topic)).toEqual(['2', '2']);
    expect(first.joins() + second.joins()).toBeLessThanOrEqual(4);
    expect([...first.crashes, ...second.crashes]).toEqual([]);
  });

  it('hand a message to the new owner when the group is shared out anew', async () => {
    const topic = await lab.topic(2);
    const producer = await lab.producer();
    for (const partition of [0, 1]) {
      await producer.send({ topic, messages: [{ value: String(partition), partition }] });
    }
    const groupId = `shared-${process.pid}`;
    const options = { retry: { maxAttempts: 2, baseDelay: 60_000, maxDelay: 60_000 } };
    const quick = { groupId, sessionTimeout: 6_000, heartbeatInterval: 200 };
    const stuck: string[] = [];
    const reasons: unknown[] = [];
    let over = false;
    const first = await consume(
      lab,
      topic,
      async ({ message, resilience }) => {
        if (over) return;
        stuck.push(String(message.value));
        await new Promise<void>((_, reject) => {
          resilience?.signal.addEventListener('abort', () => {
            reasons.push(resilience.signal.reason);
            reject(new Error('stopped'));
          });
        });
      },
      options,
      quick,
    );
    await until(() => stuck.length === 1);
    const seen: string[] = [];
    const second = await consume(
      lab,
      topic,
      async ({ message }) => {
        seen.push(String(message.value));
      },
      options,
      quick,
    );
    await until(() => reasons.length > 0 && seen.length > 0);
    expect(reasons[0]).toMatchObject({ type: 'REBALANCE_IN_PROGRESS' });
    over = true;
    // The first leaves, and the second gets what is left.
    await first.consumer.disconnect();
    await until(() => new Set(seen).size === 2);
    await second.consumer.disconnect();
    expect(await committed(lab, groupId, topic)).toEqual(['1', '1']);
    expect([...first.crashes, ...second.crashes]).toEqual([]);
    expect([...first.givenUp, ...second.givenUp]).toEqual([]);
  });

  it('finish what runs when they stop, commit it, leave the group, and the rest to the next', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(4));
    const handled: string[] = [];
    let finish = (): void => {};
    let began = 0;
    const aborted: boolean[] = [];
    const { consumer, groupId } = await consume(lab, topic, async ({ message, resilience }) => {
      began += 1;
      if (began === 2) {
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
      }
      aborted.push(resilience?.signal.aborted === true);
      handled.push(String(message.value));
    });
    await until(() => began === 2);
    const stopped = consumer.disconnect();
    await wait(300);
    expect(handled).toEqual(['0']);
    finish();
    await stopped;
    expect(handled).toEqual(['0', '1']);
    expect(aborted).toEqual([false, false]);
    expect(await committed(lab, groupId, topic)).toEqual(['2']);
    const group = await lab.cluster.withAdmin((admin) => admin.describeGroups([groupId]));
    expect(group.groups[0]?.members).toEqual([]);
    await consume(
      lab,
      topic,
      async ({ message }) => void handled.push(String(message.value)),
      {},
      { groupId },
    );
    await until(() => handled.length === 4);
    expect(handled).toEqual(numbers(4));
  });

  it('do not wait for a retry or for an open circuit when they stop', async () => {
    const topic = await lab.topic(2);
    const producer = await lab.producer();
    for (const partition of [0, 1]) {
      await producer.send({ topic, messages: [{ value: String(partition), partition }] });
    }
    let runs = 0;
    const { consumer, groupId, givenUp } = await consume(
      lab,
      topic,
      {
        partitionsConsumedConcurrently: 2,
        eachMessage: async () => {
          runs += 1;
          throw new Error('no');
        },
      },
      { retry: { maxAttempts: 2, baseDelay: 600_000, maxDelay: 600_000, jitter: 'none' } },
    );
    await until(() => runs === 2);
    await consumer.disconnect();
    expect(runs).toBe(2);
    expect(givenUp).toEqual([]);
    expect(await committed(lab, groupId, topic)).toEqual(['-1', '-1']);
  });

  it('abort what has not finished after drainTimeout, and leave its message to the next', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, ['0']);
    let began = 0;
    const { consumer, groupId, givenUp } = await consume(
      lab,
      topic,
      ({ resilience }) =>
        new Promise((_, reject) => {
          began += 1;
          resilience?.signal.addEventListener('abort', () => reject(new TypeError('stopped')));
        }),
      { drainTimeout: 200 },
    );
    await until(() => began === 1);
    await consumer.disconnect();
    expect(began).toBe(1);
    expect(givenUp).toEqual([]);
    expect(await committed(lab, groupId, topic)).toEqual(['-1']);
  });
});
