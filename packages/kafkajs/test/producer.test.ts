import type { RecordMetadata } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { resilient } from '../src/index.js';
import { compare, describeKafka, QUICK, rejection, until } from './cluster.js';

const TINY = { retries: 1, initialRetryTime: 50, maxRetryTime: 100 };

describeKafka('a producer of a resilient Kafka', { nodes: 1 }, (lab) => {
  it("answers as kafkajs does: one entry for each partition, with the send's own offset", async () => {
    const topic = await lab.topic(3);
    const producer = await lab.producer();
    const messages = [0, 1, 2, 0].map((partition) => ({ partition, value: `${partition}` }));
    const answer = await producer.send({ topic, messages });
    expect(answer.map(({ partition }) => partition).sort()).toEqual([0, 1, 2]);
    const answers = await Promise.all(
      [0, 1, 2].map((i) => producer.send({ topic, messages: [{ partition: 0, value: `${i}` }] })),
    );
    const offsets = answers.map(([first]: RecordMetadata[]) => first?.baseOffset);
    expect(offsets).toEqual(['2', '3', '4']);
    const all = await lab.read(topic);
    expect(all.get(0)?.map(({ offset, value }) => `${offset} ${value}`)).toEqual([
      '0 0',
      '1 0',
      '2 0',
      '3 1',
      '4 2',
    ]);
  });

  it('keeps order per key when connections break under many concurrent sends', async () => {
    const topic = await lab.topic(3);
    const producer = await lab.producer({}, { idempotent: true });
    const sends: Promise<unknown>[] = [];
    for (let i = 0; i < 300; i += 1) {
      const messages = [{ key: `k${i % 5}`, value: String(i) }];
      sends.push(producer.send({ topic, messages }));
      if (i % 60 === 30) lab.cluster.node(1).proxy.resetConnections();
      if (i % 10 === 0) await new Promise((done) => setTimeout(done, 2));
    }
    await Promise.all(sends);
    const byKey = new Map<string, number[]>();
    for (const message of [...(await lab.read(topic)).values()].flat()) {
      const key = String(message.key);
      byKey.set(key, [...(byKey.get(key) ?? []), Number(message.value)]);
    }
    expect([...byKey.values()].flat()).toHaveLength(300);
    for (const values of byKey.values()) expect(values).toEqual([...values].sort((a, b) => a - b));
  });

  it('tells that the outcome is unknown when no answer comes in time, and that it is not when nothing was sent', async () => {
    const topic = await lab.topic(1);
    const producer = await lab.producer({ attemptTimeout: 300 });
    await producer.send({ topic, messages: [{ value: 'first' }] });
    await lab.cluster.node(1).pause();
    const [sent, waiting] = await Promise.all([
      rejection(producer.send({ topic, messages: [{ value: 'sent' }] })),
      new Promise((done) => setTimeout(done, 50)).then(() =>
        rejection(producer.send({ topic, messages: [{ value: 'behind it' }] })),
      ),
    ]);
    expect(sent).toMatchObject({ code: 'RESIL_OUTCOME_UNKNOWN', cause: { code: 'RESIL_TIMEOUT' } });
    expect(waiting).toMatchObject({ code: 'RESIL_TIMEOUT' });
    await lab.cluster.node(1).resume();
    await until(async () => (await lab.values(topic)).length === 2);
    await producer.send({ topic, messages: [{ value: 'last' }] });
    expect(await lab.values(topic)).toEqual(['first', 'sent', 'last']);
  });

  it('leaves with the reason of the caller who aborts', async () => {
    const topic = await lab.topic(1);
    const producer = await lab.producer();
    await producer.send({ topic, messages: [{ value: 'first' }] });
    await lab.cluster.node(1).pause();
    const stop = new AbortController();
    const send = producer.send({
      topic,
      messages: [{ value: 'a' }],
      resilience: { signal: stop.signal },
    });
    setTimeout(() => stop.abort('enough'), 50);
    expect(await send.catch((reason: unknown) => reason)).toBe('enough');
    const before = { topic, messages: [{ value: 'b' }], resilience: { signal: stop.signal } };
    expect(await producer.send(before).catch((reason: unknown) => reason)).toBe('enough');
  });

  it('replaces an idempotent producer after an unknown outcome, and loses nothing then', async () => {
    const topic = await lab.topic(1);
    const retry = TINY;
    const producer = await lab.producer(
      { circuitBreaker: false },
      { idempotent: true, retry },
      { ...QUICK, requestTimeout: 400, retry },
    );
    let connects = 0;
    producer.on('producer.connect', () => {
      connects += 1;
    });
    const resolved: string[] = [];
    const send = async (value: string): Promise<void> => {
      await producer.send({ topic, messages: [{ value }] });
      resolved.push(value);
    };
    await send('first');
    for (let round = 0; round < 3; round += 1) {
      await lab.cluster.node(1).pause();
      await rejection(send(`unknown ${round}`));
      await lab.cluster.node(1).resume();
      await until(() =>
        send(`next ${round}`).then(
          () => true,
          () => false,
        ),
      );
    }
    expect(compare(resolved, await lab.values(topic))).toEqual({ missing: 0, doubled: 0 });
    expect(resolved).toHaveLength(4);
    expect(connects).toBeGreaterThan(0);
  });

  it('frees everybody in an outage, and then refuses at once', async () => {
    const topic = await lab.topic(1);
    const producer = await lab.producer({ attemptTimeout: 500 });
    await producer.send({ topic, messages: [{ value: 'first' }] });
    await lab.cluster.node(1).pause();
    const began = performance.now();
    const sends = await Promise.allSettled(
      Array.from({ length: 300 }, () => producer.send({ topic, messages: [{ value: 'x' }] })),
    );
    console.log(
      `300 sends to a frozen broker settled in ${Math.round(performance.now() - began)} ms`,
    );
    expect(sends.every(({ status }) => status === 'rejected')).toBe(true);
    const connections = lab.cluster.node(1).proxy.opened;
    const bytes = lab.cluster.node(1).proxy.requestBytes;
    const refused = await Promise.all(
      Array.from({ length: 100 }, () =>
        rejection(producer.send({ topic, messages: [{ value: 'y' }] })),
      ),
    );
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['RESIL_CIRCUIT_OPEN']));
    expect(lab.cluster.node(1).proxy.opened).toBe(connections);
    expect(lab.cluster.node(1).proxy.requestBytes).toBe(bytes);
  });

  it('does not try what nobody can do, and passes kafkajs errors on as they are', async () => {
    const topic = await lab.topic(1);
    const producer = await lab.producer({ circuitBreaker: { failureThreshold: 1 } });
    const tooLarge = await rejection(
      producer.send({ topic, messages: [{ value: 'x'.repeat(2_000_000) }] }),
    );
    expect(tooLarge).toMatchObject({ type: 'MESSAGE_TOO_LARGE' });
    // An innocent send that went out together with it is written.
    const both = await Promise.allSettled([
      producer.send({ topic, messages: [{ value: 'x'.repeat(2_000_000) }] }),
      producer.send({ topic, messages: [{ value: 'small' }] }),
    ]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    const unknown = await rejection(
      producer.send({ topic: 'nobody-made-it', messages: [{ value: 'x' }] }),
    );
    expect(unknown.name).toMatch(/^KafkaJS/);
  });

  it('says that it is disconnected without blaming the broker', async () => {
    const kafka = resilient(lab.cluster.client(QUICK), { circuitBreaker: { failureThreshold: 1 } });
    const producer = lab.use(kafka.producer({ retry: { retries: 0 } }));
    const send = () => rejection(producer.send({ topic: 'any', messages: [{ value: 'x' }] }));
    expect((await send()).message).toMatch(/disconnected/);
    expect((await send()).message).toMatch(/disconnected/);
  });

  it('has one owner of retries', async () => {
    const topic = await lab.topic(1);
    const client = { ...QUICK, retry: { retries: 0 } };
    const retry = { maxAttempts: 20, baseDelay: 50, maxDelay: 200, budget: false } as const;
    const producer = await lab.producer({ retry, circuitBreaker: false }, {}, client);
    await producer.send({ topic, messages: [{ value: 'a' }] });
    await lab.cluster.node(1).proxy.set({ mode: 'refuse' });
    lab.cluster.node(1).proxy.resetConnections();
    const send = producer.send({
      topic,
      messages: [{ value: 'b' }],
      resilience: { idempotent: true },
    });
    await new Promise((done) => setTimeout(done, 300));
    await lab.cluster.node(1).proxy.clear();
    await send;
    expect(await lab.values(topic)).toEqual(['a', 'b']);
  });
});

describe('bad input', async () => {
  const { Kafka, logLevel } = await import('kafkajs');
  const client = (retries?: number) =>
    new Kafka({
      brokers: ['127.0.0.1:1'],
      logLevel: logLevel.NOTHING,
      ...(retries !== undefined && { retry: { retries } }),
    });

  it.each([undefined, null, 42, {}, () => {}])('refuses the target %s', (target) => {
    expect(() => resilient(target as never)).toThrow(/must be a Kafka client or a producer/);
  });

  it('refuses what is wrapped already', () => {
    const kafka = resilient(client());
    expect(() => resilient(kafka)).toThrow(/wrapped twice/);
    expect(() => resilient(kafka.producer())).toThrow(/wrapped twice/);
  });

  it.each([
    [{ keyBy: 'message' }, /keyBy.*message/],
    [{ nonsense: 1 }, /nonsense/],
    [{ attemptTimeout: -1 }, /attemptTimeout.*-1/],
    [{ consumer: 7 }, /consumer.*7/],
    [{ hedge: {} }, /resilient\.hedge must be left out/],
    [{ pipeline: () => undefined, retry: false }, /retry.*pipeline/],
  ])('refuses the options %j', (options, message) => {
    expect(() => resilient(client(), options as never)).toThrow(message);
  });

  it('refuses retries on top of those of kafkajs, where they can be read', () => {
    const retry = { maxAttempts: 3 };
    expect(() => resilient(client(), { retry }).producer()).toThrow(/makes 5 retries/);
    expect(() => resilient(client(2), { retry }).producer()).toThrow(/makes 2 retries/);
    // The client's own hold for connecting, and would multiply all the same.
    expect(() => resilient(client(2), { retry }).producer({ retry: { retries: 0 } })).toThrow(
      /makes 2 retries/,
    );
    expect(() => resilient(client(0), { retry }).producer({ retry: { retries: 3 } })).toThrow(
      /makes 3 retries/,
    );
    expect(() => resilient(client(0), { retry }).producer({ idempotent: true })).toThrow(
      /idempotent/,
    );
    expect(() => resilient(client(0), { retry }).producer()).not.toThrow();
  });

  it.each([
    [undefined, /send.*record/],
    [{ messages: [] }, /send\.topic/],
    [{ topic: '', messages: [] }, /send\.topic/],
    [{ topic: 't' }, /send\.messages/],
    [{ topic: 't', messages: [{}] }, /messages\[0\]\.value.*undefined/],
    [{ topic: 't', messages: [{ value: { secret: 'tea' } }] }, /value.*object/],
    [{ topic: 't', messages: [{ value: 'a', key: 7 }] }, /key.*number/],
    [{ topic: 't', messages: [{ value: 'a' }], resilience: { deadline: 'x' } }, /deadline/],
  ])('refuses the record %j', async (record, message) => {
    const producer = resilient(client()).producer();
    const error = await rejection(producer.send(record as never));
    expect(error.message).toMatch(message);
    expect(error.message).not.toMatch(/tea/);
  });
});
