import { expect, it, onTestFinished } from 'vitest';
import { redrive, resilient } from '../src/index.js';
import { describeKafka, QUICK, rejection, type TestCluster, until } from './cluster.js';

/** A dead-letter topic with letters for a topic of their own. */
async function letters(
  lab: TestCluster,
  values: readonly string[],
  partitions = 2,
): Promise<{ topic: string; from: string }> {
  const topic = await lab.topic(1);
  const from = `${topic}.dlq`;
  await lab.cluster.createTopic(from, partitions);
  const producer = await lab.producer();
  const headers = { 'x-resil-topic': topic, 'x-resil-attempts': '3', own: 'kept' };
  for (const [index, value] of values.entries()) {
    const partition = index % partitions;
    await producer.send({ topic: from, messages: [{ key: value, value, headers, partition }] });
  }
  return { topic, from };
}

describeKafka('redrive', { nodes: 1 }, (lab) => {
  const kafka = () => resilient(lab.cluster.client(QUICK));

  it('sends dead letters back, once, without the headers of their past', async () => {
    const { topic, from } = await letters(lab, ['a', 'b', 'c', 'not this one']);
    const filter = ({ value }: { value: Buffer | null }) => String(value) !== 'not this one';
    expect(await redrive(kafka(), { from, filter })).toEqual({ sent: 3, skipped: 1, done: true });
    expect(await redrive(kafka(), { from })).toEqual({ sent: 0, skipped: 0, done: true });
    const found = [...(await lab.read(topic)).values()].flat();
    expect(found.map(({ value }) => String(value)).sort()).toEqual(['a', 'b', 'c']);
    expect(Object.keys(found[0]?.headers ?? {})).toEqual(['own']);
  });

  it('goes on where maxMessages ended it', async () => {
    const { topic, from } = await letters(lab, ['a', 'b', 'c', 'd', 'e']);
    const to = await lab.topic(1);
    expect(await redrive(kafka(), { from, to, maxMessages: 2 })).toEqual({
      sent: 2,
      skipped: 0,
      done: false,
    });
    expect(await redrive(kafka(), { from, to, maxMessages: 3 })).toEqual({
      sent: 3,
      skipped: 0,
      done: true,
    });
    expect((await lab.values(to)).sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(await lab.values(topic)).toEqual([]);
  });

  it('reaches the end of a topic whose last record is the end of a transaction', async () => {
    const { topic, from } = await letters(lab, [], 1);
    const producer = await lab.producer({}, { idempotent: true, transactionalId: from });
    const transaction = await producer.transaction();
    const headers = { 'x-resil-topic': topic };
    await transaction.send({ topic: from, messages: [{ value: 'in a transaction', headers }] });
    await transaction.commit();
    // The commit is written after it is answered.
    const end = () => lab.cluster.withAdmin((admin) => admin.fetchTopicOffsets(from));
    await until(async () => (await end())[0]?.high === '2');
    expect(await redrive(kafka(), { from })).toEqual({ sent: 1, skipped: 0, done: true });
    expect(await redrive(kafka(), { from })).toEqual({ sent: 0, skipped: 0, done: true });
  });

  it('passes over what nothing tells the origin of', async () => {
    const from = await lab.topic(1);
    const producer = await lab.producer();
    await producer.send({ topic: from, messages: [{ value: 'whose?' }] });
    expect(await redrive(kafka(), { from })).toEqual({ sent: 0, skipped: 1, done: true });
  });

  it('rejects when a message can not be sent, and goes on with it the next time', async () => {
    const { topic, from } = await letters(lab, ['a', 'b'], 1);
    let calls = 0;
    const filter = () => {
      calls += 1;
      if (calls === 2) throw new Error('no filter');
      return true;
    };
    expect(await rejection(redrive(kafka(), { from, filter }))).toMatchObject({
      message: 'no filter',
    });
    expect(await redrive(kafka(), { from })).toEqual({ sent: 1, skipped: 0, done: true });
    expect(await lab.values(topic)).toEqual(['a', 'b']);
  });

  it('ends when it is aborted before it has joined its group, and nothing is left unhandled', async () => {
    const { from } = await letters(lab, ['a']);
    const controller = new AbortController();
    const { signal } = controller;
    const listen = signal.addEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof listen>) => {
      listen(...args);
      setImmediate(() => controller.abort(new Error('enough')));
    };
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    onTestFinished(() => void process.off('unhandledRejection', note));
    expect((await rejection(redrive(kafka(), { from, signal }))).message).toBe('enough');
    expect(unhandled).toEqual([]);
  });

  it('ends when it is aborted, and goes on the next time', async () => {
    const { topic, from } = await letters(lab, ['a', 'b', 'c'], 1);
    const controller = new AbortController();
    const filter = () => {
      controller.abort(new Error('enough'));
      return true;
    };
    const failed = rejection(redrive(kafka(), { from, filter, signal: controller.signal }));
    expect(await failed).toMatchObject({ message: 'enough' });
    expect(await redrive(kafka(), { from })).toMatchObject({ skipped: 0, done: true });
    expect(await lab.values(topic)).toEqual(['a', 'b', 'c']);
  });

  it('refuses to run beside another consumer of its group', async () => {
    const { topic, from } = await letters(lab, ['a', 'b']);
    const other = lab.use(lab.cluster.client(QUICK).consumer({ groupId: `${from}.redrive` }));
    let joined = false;
    other.on('consumer.group_join', () => {
      joined = true;
    });
    await other.subscribe({ topics: [from] });
    await other.run({ autoCommit: false, eachMessage: async () => {} });
    await until(() => joined);
    const failed = await rejection(redrive(kafka(), { from }));
    expect(failed.message).toMatch(/another consumer of the group that redrives/);
    await other.disconnect();
    expect(await redrive(kafka(), { from })).toMatchObject({ done: true });
    expect((await lab.values(topic)).sort()).toEqual(['a', 'b']);
  });

  it.each([
    [{}, /redrive\.from.*must be given/],
    [
      { from: 'there-is-no-such-topic' },
      /redrive\.from must be a topic that exists.*no-such-topic/,
    ],
    [{ from: 'a', to: 'a' }, /redrive\.to must differ/],
    [{ from: 'a', maxMessages: 0 }, /redrive\.maxMessages.*at least 1.*0/],
    [{ from: 'a', filter: 1 }, /redrive\.filter must be a function/],
    [{ from: 'a', signal: 1 }, /redrive\.signal must be an AbortSignal/],
    [{ from: 'a', nonsense: 1 }, /redrive\.nonsense/],
  ])('refuses %j', async (options, message) => {
    const failed = await rejection(redrive(kafka(), options as never));
    expect(failed.message).toMatch(message);
  });
});
