import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWithKafka, kafkaMissing } from './describe-kafka.js';
import { type KafkaCluster, startKafka } from './kafka.js';
import { gone } from './process-tree.js';

describeWithKafka({ describe, it }, await kafkaMissing(), 'startKafka', () => {
  let cluster: KafkaCluster;

  beforeAll(async () => {
    cluster = await startKafka();
    await cluster.createTopic('numbers', 2);
  });
  afterAll(() => cluster?.close());

  async function send(value: string): Promise<void> {
    const producer = cluster.client().producer({ createPartitioner: () => () => 0 });
    await producer.connect();
    await producer.send({ topic: 'numbers', messages: [{ value }] });
    await producer.disconnect();
  }

  async function written(): Promise<number> {
    const offsets = await cluster.withAdmin((admin) => admin.fetchTopicOffsets('numbers'));
    return offsets.reduce((sum, { high }) => sum + Number(high), 0);
  }

  it('takes messages through its proxy and keeps them through SIGKILL', async () => {
    const [node] = cluster.nodes;
    if (node === undefined) return;
    await send('one');
    expect(node.proxy.opened).toBeGreaterThan(0);
    await node.kill();
    expect(node.pid).toBeUndefined();
    await cluster.heal(['numbers']);
    expect(await written()).toBe(1);
  });

  it('freezes and goes on', async () => {
    const [node] = cluster.nodes;
    if (node === undefined) return;
    await node.pause();
    const sent = send('two').then(() => 'sent');
    expect(await Promise.race([sent, sleep(300, 'silence')])).toBe('silence');
    await node.resume();
    expect(await sent).toBe('sent');
  });

  it('is read from the first message to the last', async () => {
    const messages = await cluster.read('numbers');
    expect([...messages.keys()]).toEqual([0]);
    expect(messages.get(0)?.map(({ value }) => String(value))).toEqual(['one', 'two']);
  });

  it('leaves nothing behind when its parent is killed, even frozen', async () => {
    const built = new URL('../dist/kafka.js', import.meta.url).href;
    const script = `
      const { startKafka } = await import(${JSON.stringify(built)});
      const cluster = await startKafka();
      await cluster.nodes[0]?.pause();
      console.log(cluster.nodes[0]?.pid ?? 0);
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(parent.stdout.setEncoding('utf8'), 'data');
    parent.kill('SIGKILL');
    expect(await gone([Number(line)], 30_000)).toEqual([]);
  });
});
