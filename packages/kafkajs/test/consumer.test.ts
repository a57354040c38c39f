import { bulkhead, observe, reportErrorsTo } from '@resil/core';
import { recordEvents } from '@resil/testing';
import type { EachBatchHandler, EachMessageHandler } from 'kafkajs';
import { afterEach, describe, expect, it } from 'vitest';
import { resilient, resilientBatchHandler, resilientHandler } from '../src/index.js';
import { describeKafka, QUICK, rejection, until } from './cluster.js';
import { committed, consume, fill, isCold, numbers } from './consume.js';

const recorder = recordEvents(observe);
afterEach(() => recorder.clear());

describeKafka('consumers of a resilient Kafka', { nodes: 1 }, (lab) => {
  it('repeat in place, then send a poison message to its dead-letter topic, and go on', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(5));
    const seen: string[] = [];
    const attempts: (number | undefined)[] = [];
    const started = await consume(lab, topic, async ({ message, resilience }) => {
      if (String(message.value) === '2') {
        attempts.push(resilience?.attempt);
        throw new TypeError('poison');
      }
      seen.push(String(message.value));
    });
    await until(() => seen.length === 4);
    expect(seen).toEqual(['0', '1', '3', '4']);
    expect(attempts).toEqual([1, 2, 3]);
    await started.consumer.disconnect();
    expect(started.crashes).toEqual([]);
    expect(started.givenUp).toMatchObject([
      { topic, partition: 0, offset: '2', to: `${topic}.dlq`, attempts: 3 },
    ]);
    expect(await committed(lab, started.groupId, topic)).toEqual(['5']);
    const dead = [...(await lab.read(`${topic}.dlq`)).values()].flat();
    expect(dead).toHaveLength(1);
    expect(String(dead[0]?.value)).toBe('2');
    expect(String(dead[0]?.key)).toBe('k');
    const headers = Object.fromEntries(
      Object.entries(dead[0]?.headers ?? {}).map(([name, value]) => [name, String(value)]),
    );
    expect(headers).toEqual({
      'x-resil-topic': topic,
      'x-resil-partition': '0',
      'x-resil-offset': '2',
      'x-resil-group': started.groupId,
      'x-resil-attempts': '3',
      'x-resil-error': 'TypeError: poison',
      'x-resil-timestamp': expect.stringMatching(/^\d+$/),
    });
  });

  it.each([
    ['TypeError', () => new TypeError('once')],
    ['RangeError', () => new RangeError('once')],
    ['retriable: false', () => Object.assign(new Error('once'), { retriable: false })],
    ['no error at all', () => undefined],
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

  it('keep the order per key while handlers fail', async () => {
    const topic = await lab.topic(3);
    const producer = await lab.producer();
    const keys = ['a', 'b', 'c', 'd'];
    const messages = numbers(15).flatMap((value) => keys.map((key) => ({ key, value })));
    await producer.send({ topic, messages });
    const seen = new Map<string, string[]>(keys.map((key) => [key, []]));
    let calls = 0;
    await consume(lab, topic, {
      partitionsConsumedConcurrently: 3,
      eachMessage: async ({ message }) => {
        calls += 1;
        if (calls % 3 === 0) throw new TypeError('every third run');
        seen.get(String(message.key))?.push(String(message.value));
      },
    });
    await until(() => [...seen.values()].flat().length === 60);
    for (const key of keys) expect(seen.get(key)).toEqual(numbers(15));
  });

  it('go through retry topics with growing delays before they give up', async () => {
    const topic = await lab.topic(2);
    await fill(lab, topic, ['bad', 'good']);
    const runs: string[] = [];
    const { givenUp } = await consume(
      lab,
      topic,
      async ({ topic: seenTopic, message, resilience }) => {
        runs.push(`${seenTopic === topic} ${resilience?.topic === topic} ${message.value}`);
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
    // The message behind it has not waited.
    expect(runs).toEqual(['true true bad', 'true true good', 'true true bad', 'true true bad']);
    expect(recorder.of('consumer.paused').some(({ reason }) => reason === 'not-due')).toBe(true);
    const made = await lab.cluster.withAdmin((admin) =>
      admin.fetchTopicMetadata({ topics: [`${topic}.retry.1`, `${topic}.dlq`] }),
    );
    expect(made.topics.map(({ partitions }) => partitions.length)).toEqual([2, 2]);
  });

  it('handle the retries of their own group only', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, ['0', '1']);
    const options = { retry: false, retryDelays: [100] } as const;
    const runs = { billing: [] as string[], shipping: [] as string[] };
    const failing = (name: keyof typeof runs, bad: string): EachMessageHandler => {
      return async ({ message }) => {
        runs[name].push(String(message.value));
        if (String(message.value) === bad) throw new Error('no');
      };
    };
    const billing = await consume(lab, topic, failing('billing', '0'), options);
    const shipping = await consume(lab, topic, failing('shipping', '1'), options);
    await until(() => billing.givenUp.length === 2 && shipping.givenUp.length === 2);
    await Promise.all([billing.consumer.disconnect(), shipping.consumer.disconnect()]);
    expect(runs).toEqual({ billing: ['0', '1', '0'], shipping: ['0', '1', '1'] });
  });

  it('pause while what the handler calls is down, resume by probe, and skip nothing', async () => {
    const topic = await lab.topic(2);
    const producer = await lab.producer();
    const all = numbers(10);
    for (const value of all) {
      await producer.send({ topic, messages: [{ value, partition: Number(value) % 2 }] });
    }
    let down = true;
    const seen: string[] = [];
    const { consumer, givenUp, groupId } = await consume(
      lab,
      topic,
      {
        partitionsConsumedConcurrently: 2,
        eachMessage: async ({ message }) => {
          if (down) throw new Error('down');
          seen.push(String(message.value));
        },
      },
      { circuitBreaker: { failureThreshold: 3, resetTimeout: 300, halfOpenCalls: 1 } },
    );
    await until(() => recorder.of('circuit.opened').length === 4);
    expect(seen).toEqual([]);
    expect(await committed(lab, groupId, topic)).toEqual(['-1', '-1']);
    down = false;
    await until(() => seen.length === 10);
    for (const partition of [0, 1]) {
      const own = (value: string) => Number(value) % 2 === partition;
      expect(seen.filter(own)).toEqual(all.filter(own));
    }
    expect(givenUp).toEqual([]);
    await until(() => consumer.paused().length === 0);
    await consumer.disconnect();
    expect(await committed(lab, groupId, topic)).toEqual(['5', '5']);
    expect(recorder.of('consumer.paused')[0]).toMatchObject({
      name: topic,
      reason: 'refused',
      strategy: 'consumer',
    });
    const paused = recorder.of('consumer.paused').length;
    expect(recorder.of('consumer.resumed')).toHaveLength(paused);
  });

  it('leave a partition to the user who pauses it', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(3));
    let down = true;
    const seen: string[] = [];
    const { consumer } = await consume(
      lab,
      topic,
      async ({ message }) => {
        if (down) throw new Error('down');
        seen.push(String(message.value));
      },
      { circuitBreaker: { failureThreshold: 1, resetTimeout: 200, halfOpenCalls: 1 } },
    );
    await until(() => consumer.paused().length > 0);
    consumer.pause([{ topic }]);
    down = false;
    const opened = recorder.of('circuit.half-opened').length;
    await new Promise((done) => setTimeout(done, 1_000));
    expect(recorder.of('circuit.half-opened')).toHaveLength(opened);
    expect(seen).toEqual([]);
    consumer.resume([{ topic }]);
    await until(() => seen.length === 3);
  });

  it('commit nothing of a message whose dead-letter topic can not be written', async () => {
    const topic = await lab.topic(1);
    // Somebody else is to make it.
    const dead = `${topic}-dead`;
    await fill(lab, topic, numbers(2));
    const retry = { retries: 1, initialRetryTime: 50, maxRetryTime: 100 };
    const producer = await lab.producer({}, {}, { ...QUICK, retry });
    const runs: string[] = [];
    const { groupId, crashes } = await consume(
      lab,
      topic,
      async ({ message }) => {
        runs.push(String(message.value));
        if (String(message.value) === '0') throw new TypeError('no');
      },
      { deadLetterTopic: dead, createTopics: false, holdDelay: 300, producer },
    );
    const reports: unknown[] = [];
    const stopReports = reportErrorsTo((error) => reports.push(error));
    await until(() => recorder.of('consumer.paused').length >= 2);
    expect(recorder.of('consumer.paused')[0]?.reason).toBe('undelivered');
    expect(runs).toEqual(['0', '0', '0']);
    expect(await committed(lab, groupId, topic)).toEqual(['-1']);
    await lab.cluster.createTopic(dead);
    await until(() => runs.length === 4);
    expect(runs).toEqual(['0', '0', '0', '1']);
    stopReports();
    expect(reports.length).toBeGreaterThanOrEqual(2);
    expect(await lab.values(dead)).toEqual(['0']);
    expect(crashes).toEqual([]);
  });

  it.each([
    ['resolves what it has handled', true],
    ['leaves that to kafkajs', false],
  ])('find the poison in a batch of a handler that %s', async (_, resolves) => {
    const topic = await lab.topic(1);
    await fill(lab, topic, numbers(20));
    const seen: string[] = [];
    const { crashes, givenUp, consumer, groupId } = await consume(lab, topic, {
      eachBatchAutoResolve: !resolves,
      eachBatch: failingBatch('13', seen, resolves),
    });
    await until(() => seen.length === 19);
    expect(seen).toEqual(numbers(20).filter((value) => value !== '13'));
    expect(crashes).toEqual([]);
    await consumer.disconnect();
    expect(givenUp).toMatchObject([{ offset: '13', to: `${topic}.dlq` }]);
    expect(await lab.values(`${topic}.dlq`)).toEqual(['13']);
    expect(await committed(lab, groupId, topic)).toEqual(['20']);
  });

  it.each([
    ['each its own bulkhead', false, 4],
    ['a shared bulkhead', true, 2],
  ])('run as many handlers at a time as %s allows', async (_, shared, expected) => {
    const topic = await lab.topic(4);
    const producer = await lab.producer();
    for (const partition of [0, 1, 2, 3]) {
      const messages = numbers(3).map((value) => ({ value, partition }));
      await producer.send({ topic, messages });
    }
    const limit = { maxConcurrentCalls: 2, maxQueueSize: 10, queueTimeout: 60_000 };
    const options = { bulkhead: shared ? bulkhead(limit) : limit };
    let running = 0;
    let most = 0;
    let done = 0;
    const config = {
      partitionsConsumedConcurrently: 4,
      eachMessage: async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, 150));
        running -= 1;
        done += 1;
      },
    };
    // Two groups, so that each handles all of it.
    const started = [
      await consume(lab, topic, config, options),
      await consume(lab, topic, config, options),
    ];
    await until(() => done === 24);
    expect(most).toBeLessThanOrEqual(expected);
    if (shared) expect(most).toBe(2);
    expect(started.flatMap(({ givenUp }) => givenUp)).toEqual([]);
  });

  it('read what a pattern matches, but not what could not be handled', async () => {
    const topic = await lab.topic(1);
    for (const one of [`${topic}.dlq`, `${topic}.retry.1`]) await lab.cluster.createTopic(one);
    const seen: string[] = [];
    const { consumer } = await consume(lab, new RegExp(`^${topic}`), async ({ message }) => {
      seen.push(String(message.value));
    });
    await fill(lab, `${topic}.dlq`, ['dead']);
    await fill(lab, topic, ['0', '1']);
    await until(() => seen.length === 2);
    expect(seen).toEqual(['0', '1']);
    await consumer.disconnect();
  });

  it('can be stopped and run again', async () => {
    const topic = await lab.topic(1);
    await fill(lab, topic, ['0']);
    const seen: string[] = [];
    const eachMessage: EachMessageHandler = async ({ message }) => {
      if (String(message.value) === 'bad') throw new TypeError('poison');
      seen.push(String(message.value));
    };
    const { consumer, givenUp } = await consume(lab, topic, eachMessage);
    await until(() => seen.length === 1);
    // kafkajs ignores a second run; the guard must not be lost by it.
    await consumer.run({ eachMessage });
    await consumer.stop();
    await consumer.run({ eachMessage });
    await fill(lab, topic, ['bad', '1']);
    await until(() => seen.length === 2);
    expect(givenUp).toHaveLength(1);
  });

  it.each([
    [{}, /subscribe\.topics must be an array of topics.*undefined/],
    [{ topics: [] }, /subscribe\.topics/],
    [{ topics: [''] }, /subscribe\.topics/],
    [{ topics: 'orders' }, /subscribe\.topics.*orders/],
    [{ topics: ['x.dlq'] }, /consumer\.deadLetterTopic must be .* another one than 'x\.dlq'/],
  ])('refuse to subscribe to %j', async (subscription, message) => {
    const kafka = resilient(lab.cluster.client(QUICK), { consumer: { deadLetterTopic: 'x.dlq' } });
    const consumer = kafka.consumer({ groupId: 'never' });
    expect((await rejection(consumer.subscribe(subscription as never))).message).toMatch(message);
  });

  it.each([
    [{}, /run\.eachMessage must be given, or eachBatch/],
    [{ eachMessage: 1 }, /run\.eachMessage must be a function.*1/],
    [{ eachBatch: 'all' }, /run\.eachBatch must be a function.*all/],
    [
      { eachBatch: async () => {}, eachMessage: async () => {} },
      /run\.eachBatch must not be given/,
    ],
  ])('refuse to run with %j', async (config, message) => {
    const consumer = resilient(lab.cluster.client(QUICK)).consumer({ groupId: 'never' });
    expect((await rejection(consumer.run(config as never))).message).toMatch(message);
  });
});

/** Fails on one message, after it has handled those in front of it or as a whole. */
function failingBatch(poison: string, seen: string[], resolves: boolean): EachBatchHandler {
  return async ({ batch, resolveOffset, heartbeat }) => {
    const values = batch.messages.map(({ value }) => String(value));
    if (!resolves && values.includes(poison)) throw new RangeError('poison');
    for (const [index, { offset }] of batch.messages.entries()) {
      if (values[index] === poison) throw new RangeError('poison');
      seen.push(values[index] ?? '');
      if (resolves) resolveOffset(offset);
      await heartbeat();
    }
  };
}

describeKafka('handlers for consumers of others', { nodes: 1 }, (lab) => {
  let groups = 0;
  const bare = () => {
    groups += 1;
    const consumer = lab.use(
      lab.cluster
        .client(QUICK)
        .consumer({ groupId: `bare-${process.pid}-${groups}`, maxWaitTimeInMs: 100 }),
    );
    const crashes: unknown[] = [];
    consumer.on('consumer.crash', ({ payload }) => {
      if (!isCold(payload.error)) crashes.push(payload);
    });
    return { consumer, crashes, groupId: `bare-${process.pid}-${groups}` };
  };
  const withLetters = async (values: readonly string[]) => {
    const topic = await lab.topic(1);
    await lab.cluster.createTopic(`${topic}.dlq`);
    await fill(lab, topic, values);
    return { topic, producer: await lab.producer() };
  };

  it('resilientHandler gives up a poison message, and goes on', async () => {
    const { topic, producer } = await withLetters(numbers(4));
    const { consumer, crashes } = bare();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    const seen: string[] = [];
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

  it.each([
    ['resolves what it has handled', true],
    ['leaves that to kafkajs', false],
  ])('resilientBatchHandler finds the poison of a handler that %s', async (_, resolves) => {
    const { topic, producer } = await withLetters(numbers(20));
    const { consumer, crashes, groupId } = bare();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    const seen: string[] = [];
    const eachBatchAutoResolve = !resolves;
    await consumer.run({
      eachBatchAutoResolve,
      eachBatch: resilientBatchHandler(failingBatch('13', seen, resolves), {
        producer,
        eachBatchAutoResolve,
        retry: { maxAttempts: 2, baseDelay: 1 },
      }),
    });
    await until(() => seen.length === 19);
    expect(seen).toEqual(numbers(20).filter((value) => value !== '13'));
    await consumer.disconnect();
    expect(await lab.values(`${topic}.dlq`)).toEqual(['13']);
    expect(await committed(lab, groupId, topic)).toEqual(['20']);
    expect(crashes).toEqual([]);
  });

  it.each(['message', 'batch'])('hold a %s while the circuit is open, and drain', async (kind) => {
    const { topic, producer } = await withLetters(numbers(4));
    let down = true;
    const seen: string[] = [];
    const run = (value: Buffer | null): void => {
      if (down && String(value) === '2') throw new Error('down');
      seen.push(String(value));
    };
    const options = {
      producer,
      retry: { maxAttempts: 5, baseDelay: 1 },
      circuitBreaker: { failureThreshold: 2, resetTimeout: 600_000 },
    } as const;
    const handlers = () => ({
      message: resilientHandler(async ({ message }) => run(message.value), options),
      batch: resilientBatchHandler(async ({ batch, resolveOffset }) => {
        for (const { value, offset } of batch.messages) {
          run(value);
          resolveOffset(offset);
        }
      }, options),
    });
    const started = async (groupId: string) => {
      const consumer = lab.use(
        lab.cluster.client(QUICK).consumer({ groupId, maxWaitTimeInMs: 100 }),
      );
      await consumer.subscribe({ topics: [topic], fromBeginning: true });
      const { message, batch } = handlers();
      await consumer.run(kind === 'message' ? { eachMessage: message } : { eachBatch: batch });
      return { consumer, drain: kind === 'message' ? message.drain : batch.drain };
    };
    const groupId = `held-${kind}-${process.pid}`;
    const first = await started(groupId);
    await until(() => recorder.of('consumer.paused').length > 0);
    expect(seen).toEqual(['0', '1']);
    first.drain();
    await first.consumer.disconnect();
    expect(await committed(lab, groupId, topic)).toEqual(['2']);
    down = false;
    await started(groupId);
    await until(() => seen.length === 4);
    expect(seen).toEqual(numbers(4));
    expect(await lab.values(`${topic}.dlq`)).toEqual([]);
  });
});

describe('bad input of consumers', () => {
  const none = async () => {};
  it.each([
    [undefined, {}, /handler.*must be a function/],
    [none, {}, /consumer\.producer.*deadLetterTopic must be false/],
    [none, { deadLetterTopic: false, retryDelays: [1] }, /consumer\.retryDelays.*must be empty/],
    [none, { deadLetterTopic: 7 }, /consumer\.deadLetterTopic.*7/],
    [none, { retryDelays: [-1] }, /consumer\.retryDelays/],
    [none, { heartbeatInterval: 0 }, /consumer\.heartbeatInterval.*0/],
    [none, { holdDelay: 0 }, /consumer\.holdDelay.*0/],
    [none, { maxHoldDuration: -1 }, /consumer\.maxHoldDuration.*-1/],
    [none, { drainTimeout: 0 }, /consumer\.drainTimeout.*0/],
    [none, { bulkhead: 5 }, /consumer\.bulkhead.*5/],
    [none, { producer: {} }, /consumer\.producer must be a producer/],
    [none, { nonsense: 1 }, /nonsense/],
  ])('is refused with option, value and rule (%#)', (handler, options, message) => {
    expect(() => resilientHandler(handler as never, options as never)).toThrow(message);
    expect(() => resilientBatchHandler(handler as never, options as never)).toThrow(message);
  });

  it('is refused where a consumer is made', async () => {
    const { Kafka } = await import('kafkajs');
    const kafka = resilient(new Kafka({ brokers: ['localhost:1'] }));
    expect(() =>
      kafka.consumer({ groupId: 'g', sessionTimeout: 900, heartbeatInterval: 300 }),
    ).toThrow(/consumer\.heartbeatInterval must be under .*sessionTimeout \(900\).*1000/);
    expect(() => resilientBatchHandler(none, { eachBatchAutoResolve: 1 as never })).toThrow(
      /resilientBatchHandler\.eachBatchAutoResolve must be true or false.*1/,
    );
  });
});
