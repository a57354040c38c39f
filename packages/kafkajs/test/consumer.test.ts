import type { Consumer, EachMessageHandler } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import {
  type ConsumerOptions,
  type GivenUpMessage,
  redrive,
  resilient,
  resilientHandler,
} from '../src/index.js';
import { describeKafka, QUICK, type TestCluster, until } from './cluster.js';

interface Started {
  readonly consumer: Consumer;
  readonly crashes: { restart: boolean }[];
  joins: number;
  readonly givenUp: GivenUpMessage[];
}

let groups = 0;

async function consume(
  lab: TestCluster,
  topic: string,
  eachMessage: EachMessageHandler,
  options: ConsumerOptions = {},
  config: { groupId?: string; sessionTimeout?: number; heartbeatInterval?: number } = {},
): Promise<Started> {
  groups += 1;
  const givenUp: GivenUpMessage[] = [];
  const kafka = resilient(lab.cluster.client(QUICK), {
    consumer: {
      retry: { maxAttempts: 3, baseDelay: 10, maxDelay: 20 },
      heartbeatInterval: 200,
      onGivenUp: (message) => givenUp.push(message),
      ...options,
    },
  });
  const consumer = lab.use(
    kafka.consumer({ groupId: `group-${process.pid}-${groups}`, maxWaitTimeInMs: 100, ...config }),
  );
  const started: Started = { consumer, crashes: [], joins: 0, givenUp };
  consumer.on('consumer.crash', ({ payload }) => {
    if (!isCold(payload.error)) started.crashes.push(payload);
  });
  consumer.on('consumer.group_join', () => {
    started.joins += 1;
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({ eachMessage });
  return started;
}

async function fill(lab: TestCluster, topic: string, values: readonly string[]): Promise<void> {
  const producer = await lab.producer();
  await producer.send({ topic, messages: values.map((value) => ({ key: 'k', value })) });
}

/** The first consumer of a new cluster finds its coordinator still loading. */
const isCold = (error: unknown): boolean =>
  (error as { type?: string }).type === 'GROUP_LOAD_IN_PROGRESS';
const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index));

describeKafka('consumers of a resilient Kafka', { nodes: 1 }, (lab) => {
  it('repeat in place, then send a poison message to its dead-letter topic, and go on', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(5));
    const seen: string[] = [];
    const attempts: (number | undefined)[] = [];
    const { crashes, givenUp } = await consume(lab, topic, async ({ message, resilience }) => {
      if (String(message.value) === '2') {
        attempts.push(resilience?.attempt);
        throw new TypeError('poison');
      }
      seen.push(String(message.value));
    });
    await until(() => seen.length === 4);
    expect(seen).toEqual(['0', '1', '3', '4']);
    expect(attempts).toEqual([1, 2, 3]);
    expect(crashes).toEqual([]);
    expect(givenUp).toMatchObject([
      { topic, partition: 0, offset: '2', to: `${topic}.dlq`, attempts: 3 },
    ]);
    const dead = [...(await lab.read(`${topic}.dlq`)).values()].flat();
    expect(dead).toHaveLength(1);
    expect(String(dead[0]?.value)).toBe('2');
    expect(String(dead[0]?.key)).toBe('k');
    const headers = Object.fromEntries(
      Object.entries(dead[0]?.headers ?? {}).map(([name, value]) => [name, String(value)]),
    );
    expect(headers).toMatchObject({
      'x-resil-topic': topic,
      'x-resil-partition': '0',
      'x-resil-offset': '2',
      'x-resil-attempts': '3',
      'x-resil-error': 'TypeError: poison',
      'x-resil-timestamp': expect.stringMatching(/^\d+$/),
    });
  });

  it.each([
    ['TypeError', () => new TypeError('once')],
    ['retriable: false', () => Object.assign(new Error('once'), { retriable: false })],
  ])('survive a handler that throws once: %s', async (_, error) => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(4));
    const seen: string[] = [];
    let thrown = 0;
    const { crashes } = await consume(lab, topic, async ({ message }) => {
      if (String(message.value) === '1' && thrown++ === 0) throw error();
      seen.push(String(message.value));
    });
    await until(() => seen.length === 4);
    expect(seen).toEqual(numbers(4));
    expect(crashes).toEqual([]);
  });

  it('keep their group while a handler takes longer than the session', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(2));
    const seen: string[] = [];
    const started = await consume(
      lab,
      topic,
      async ({ message }) => {
        await new Promise((done) => setTimeout(done, 4_500));
        seen.push(String(message.value));
      },
      {},
      { sessionTimeout: 3_000, heartbeatInterval: 300 },
    );
    await until(() => seen.length === 2);
    expect(seen).toEqual(numbers(2));
    expect(started.joins).toBe(1);
  });

  it('go through retry topics with growing delays before they give up', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, ['bad', 'good']);
    const runs: string[] = [];
    const { givenUp } = await consume(
      lab,
      topic,
      async ({ topic: seenTopic, message }) => {
        runs.push(`${seenTopic === topic} ${message.value}`);
        if (String(message.value) === 'bad') throw new Error('no');
      },
      { retry: false, retryDelays: [200, 600] },
    );
    await until(() => givenUp.length === 3);
    expect(givenUp.map(({ to, attempts }) => [to, attempts])).toEqual([
      [`${topic}.retry.1`, 1],
      [`${topic}.retry.2`, 2],
      [`${topic}.dlq`, 3],
    ]);
    expect(runs).toEqual(['true bad', 'true good', 'true bad', 'true bad']);
  });

  it('pause while what the handler calls is down, resume by probe, and skip nothing', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(10));
    let down = true;
    let calls = 0;
    const seen: string[] = [];
    const { consumer, givenUp } = await consume(
      lab,
      topic,
      async ({ message }) => {
        calls += 1;
        if (down) throw new Error('down');
        seen.push(String(message.value));
      },
      {
        retry: { maxAttempts: 100, baseDelay: 10, maxDelay: 10 },
        circuitBreaker: { failureThreshold: 3, resetTimeout: 500 },
      },
    );
    await until(() => consumer.paused().length > 0);
    await new Promise((done) => setTimeout(done, 1_500));
    expect(calls).toBeLessThan(12);
    down = false;
    await until(() => seen.length === 10);
    expect(seen).toEqual(numbers(10));
    expect(givenUp).toEqual([]);
  });

  it('keep a message whose dead-letter topic cannot be written', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(2));
    const sent: string[] = [];
    let broken = true;
    const seen: string[] = [];
    await consume(
      lab,
      topic,
      async ({ message }) => {
        if (String(message.value) === '0') throw new Error('no');
        seen.push(String(message.value));
      },
      {
        retry: false,
        producer: {
          send: async ({ topic: to }) => {
            if (broken) throw new Error('the dead-letter topic is down');
            sent.push(to);
            return [];
          },
        },
      },
    );
    await new Promise((done) => setTimeout(done, 1_500));
    expect(seen).toEqual([]);
    broken = false;
    await until(() => seen.length === 1);
    expect(sent).toEqual([`${topic}.dlq`]);
  });

  it('finish what runs when they stop, commit it, and leave the rest to the next', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(4));
    const first: string[] = [];
    const groupId = `drained-${process.pid}`;
    const { consumer } = await consume(
      lab,
      topic,
      async ({ message }) => {
        await new Promise((done) => setTimeout(done, 300));
        first.push(String(message.value));
      },
      {},
      { groupId },
    );
    await until(() => first.length === 1);
    await consumer.disconnect();
    const second: string[] = [];
    await consume(
      lab,
      topic,
      async ({ message }) => {
        second.push(String(message.value));
      },
      {},
      { groupId },
    );
    await until(() => first.length + second.length === 4);
    expect([...first, ...second]).toEqual(numbers(4));
  });

  it('have their dead letters sent back, once', async () => {
    const topic = await lab.topic(1);
    await lab.topic(1);
    await lab.cluster.createTopic(`${topic}.dlq`, 2);
    const producer = await lab.producer();
    const headers = { 'x-resil-topic': topic, 'x-resil-attempts': '3', own: 'kept' };
    const send = (value: string) =>
      producer.send({ topic: `${topic}.dlq`, messages: [{ key: value, value, headers }] });
    for (const value of ['a', 'b', 'c', 'not this one']) await send(value);
    const kafka = resilient(lab.cluster.client(QUICK));
    const from = `${topic}.dlq`;
    const filter = ({ value }: { value: Buffer | null }) => String(value) !== 'not this one';
    expect(await redrive(kafka, { from, filter })).toEqual({ sent: 3, skipped: 1 });
    expect(await redrive(kafka, { from })).toEqual({ sent: 0, skipped: 0 });
    const found = [...(await lab.read(topic)).values()].flat();
    expect(found.map(({ value }) => String(value)).sort()).toEqual(['a', 'b', 'c']);
    expect(Object.keys(found[0]?.headers ?? {})).toEqual(['own']);
  });

  it('give batches the same', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(6));
    const kafka = resilient(lab.cluster.client(QUICK), {
      consumer: { retry: { maxAttempts: 2, baseDelay: 1 } },
    });
    const consumer = lab.use(
      kafka.consumer({ groupId: `batch-${process.pid}`, maxWaitTimeInMs: 100 }),
    );
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    const seen: string[] = [];
    await consumer.run({
      eachBatch: async ({ batch, resolveOffset }) => {
        for (const message of batch.messages) {
          if (String(message.value) === '3') throw new RangeError('poison');
          if (!seen.includes(String(message.value))) seen.push(String(message.value));
          resolveOffset(message.offset);
        }
      },
    });
    await until(async () => (await lab.values(`${topic}.dlq`)).length === 3);
    expect(seen).toEqual(['0', '1', '2']);
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
    let aborted = 0;
    let runs = 0;
    let end = (): void => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    const first = await consume(
      lab,
      topic,
      async ({ resilience }) => {
        runs += 1;
        const stopped = new Promise<void>((_, reject) => {
          resilience?.signal.addEventListener('abort', () => {
            aborted += 1;
            reject(new Error('stopped'));
          });
        });
        await Promise.race([over, stopped]);
      },
      options,
      quick,
    );
    await until(() => runs === 1);
    const seen: string[] = [];
    await consume(
      lab,
      topic,
      async ({ message }) => {
        seen.push(String(message.value));
      },
      options,
      quick,
    );
    await until(() => aborted > 0 && seen.length > 0).finally(end);
    expect(first.crashes).toEqual([]);
    expect(first.givenUp).toEqual([]);
  });
});

describeKafka('resilientHandler', { nodes: 1 }, (lab) => {
  it('guards the handler of any consumer', async () => {
    const topic = await lab.topic(1);
    await lab.topic(1);
    await lab.cluster.createTopic(`${topic}.dlq`);
    await fill(lab, topic, numbers(4));
    const consumer = lab.use(
      lab.cluster.client(QUICK).consumer({ groupId: `bare-${process.pid}`, maxWaitTimeInMs: 100 }),
    );
    const crashes: unknown[] = [];
    consumer.on('consumer.crash', ({ payload }) => {
      if (!isCold(payload.error)) crashes.push(payload);
    });
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    const seen: string[] = [];
    const producer = await lab.producer();
    await consumer.run({
      eachMessage: resilientHandler(
        async ({ message }) => {
          if (String(message.value) === '1') throw new TypeError('poison');
          seen.push(String(message.value));
        },
        { producer, retry: { maxAttempts: 2, baseDelay: 1 } },
      ),
    });
    await until(() => seen.length === 3);
    expect(await lab.values(`${topic}.dlq`)).toEqual(['1']);
    expect(crashes).toEqual([]);
  });
});

describe('bad input of consumers', () => {
  it.each([
    [undefined, {}, /handler.*must be a function/],
    [async () => {}, {}, /consumer\.producer.*deadLetterTopic must be false/],
    [
      async () => {},
      { deadLetterTopic: false, retryDelays: [1] },
      /consumer\.retryDelays.*must be empty/,
    ],
    [async () => {}, { deadLetterTopic: 7 }, /consumer\.deadLetterTopic.*7/],
    [async () => {}, { retryDelays: [-1] }, /consumer\.retryDelays/],
    [async () => {}, { heartbeatInterval: 0 }, /consumer\.heartbeatInterval.*0/],
    [async () => {}, { nonsense: 1 }, /nonsense/],
  ])('is refused with option, value and rule (%#)', (handler, options, message) => {
    expect(() => resilientHandler(handler as never, options as never)).toThrow(message);
  });
});
