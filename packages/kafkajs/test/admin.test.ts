import { circuitBreaker, pipeline } from '@resil/core';
import type { Admin } from 'kafkajs';
import { expect, it } from 'vitest';
import { type KafkaOptions, resilient } from '../src/index.js';
import { describeKafka, QUICK, rejection, type TestCluster } from './cluster.js';

/** The methods that are not guarded. */
const UNGUARDED = ['connect', 'disconnect', 'on', 'logger', 'events'] as const;

async function adminOf(
  lab: TestCluster,
  options: KafkaOptions = {},
  client = QUICK,
): Promise<Admin> {
  const admin = lab.use(resilient(lab.cluster.client(client), options).admin());
  await admin.connect();
  return admin;
}

describeKafka('an admin of a resilient Kafka', { nodes: 1 }, (lab) => {
  it('answers as that of kafkajs', async () => {
    const topic = await lab.topic(3);
    // What is written has a leader; a topic that was just made may not.
    const messages = [0, 1, 2].map((partition) => ({ partition, value: 'a' }));
    await (await lab.producer()).send({ topic, messages });
    const admin = await adminOf(lab);
    const bare = lab.use(lab.cluster.client().admin());
    await bare.connect();
    expect(Object.keys(admin).sort()).toEqual(Object.keys(bare).sort());
    expect((await admin.listTopics()).sort()).toEqual((await bare.listTopics()).sort());
    expect(await admin.fetchTopicOffsets(topic)).toEqual(await bare.fetchTopicOffsets(topic));
    const made = { topics: [{ topic: `${topic}-made` }], waitForLeaders: false };
    expect([await admin.createTopics(made), await admin.createTopics(made)]).toEqual([true, false]);
    await admin.deleteTopics({ topics: [`${topic}-made`] });
    const fewer = { topicPartitions: [{ topic, count: 2 }] };
    const ours = await rejection(admin.createPartitions(fewer));
    const theirs = await rejection(bare.createPartitions(fewer));
    expect([ours.name, ours.message]).toEqual([theirs.name, theirs.message]);
  });

  it('guards every method of kafkajs but those that do nothing at the cluster', async () => {
    const breaker = circuitBreaker();
    breaker.isolate();
    const admin = await adminOf(lab, { pipeline: () => pipeline(breaker) });
    const methods = Object.keys(admin).filter((name) => !UNGUARDED.includes(name as never));
    expect(methods).toHaveLength(22);
    for (const name of methods as 'listTopics'[]) {
      expect([name, (await rejection(admin[name]())).code]).toEqual([
        name,
        'RESIL_CIRCUIT_ISOLATED',
      ]);
    }
  });

  it('tells that a change may have been made when no answer comes', async () => {
    const topic = `${await lab.topic(1)}-late`;
    const admin = await adminOf(lab, { attemptTimeout: 300 });
    await admin.listTopics();
    await lab.cluster.node(1).pause();
    const error = await rejection(admin.createTopics({ topics: [{ topic }] }));
    expect(error.code).toBe('RESIL_OUTCOME_UNKNOWN');
    await lab.cluster.node(1).resume();
    // It was made, or is being made.
    await lab.cluster.ready([topic]);
  });

  it('has a circuit of its own, without the fallback of the sends', async () => {
    const topic = await lab.topic(1);
    const kafka = resilient(lab.cluster.client(QUICK), {
      attemptTimeout: 300,
      circuitBreaker: { failureThreshold: 1, resetTimeout: 3_600_000 },
      fallback: () => [],
    });
    const admin = lab.use(kafka.admin());
    const producer = lab.use(kafka.producer());
    await admin.connect();
    await producer.connect();
    await lab.cluster.node(1).pause();
    expect((await rejection(admin.listTopics())).code).toBe('RESIL_TIMEOUT');
    await lab.cluster.node(1).resume();
    const refused = await rejection(admin.listTopics());
    expect(refused).toMatchObject({ code: 'RESIL_CIRCUIT_OPEN' });
    expect(refused.message).toContain('kafka admin');
    await producer.send({ topic, messages: [{ value: 'a' }] });
    expect(await lab.values(topic)).toEqual(['a']);
  });

  it('repeats what only asks, where retries are ours', async () => {
    const client = { ...QUICK, requestTimeout: 300, retry: { retries: 0 } };
    const retry = { maxAttempts: 50, baseDelay: 50, maxDelay: 50, budget: false } as const;
    const admin = await adminOf(lab, { retry, circuitBreaker: false }, client);
    await lab.cluster.node(1).proxy.set({ response: { mode: 'black-hole' } });
    const topics = admin.listTopics();
    await new Promise((done) => setTimeout(done, 800));
    await lab.cluster.node(1).proxy.clear();
    lab.cluster.node(1).proxy.resetConnections();
    expect(Array.isArray(await topics)).toBe(true);
  });

  it('refuses retries on top of those of kafkajs', () => {
    const retry = { maxAttempts: 3 };
    expect(() => resilient(lab.cluster.client({}), { retry }).admin()).toThrow(/makes 5 retries/);
    const kafka = resilient(lab.cluster.client({ retry: { retries: 0 } }), { retry });
    expect(() => kafka.admin({ retry: { retries: 2 } })).toThrow(/makes 2 retries/);
    expect(() => kafka.admin()).not.toThrow();
  });
});
