import { provideAmbient } from '@resil/core';
import { expect, it } from 'vitest';
import { describeKafka } from './cluster.js';

describeKafka('with an ambient context', { nodes: 1 }, (lab) => {
  it('a record tells its reader what it was made for, from a transaction too', async () => {
    const topic = await lab.topic(1);
    const producer = await lab.producer(
      {},
      { idempotent: true, maxInFlightRequests: 1, transactionalId: `context-${topic}` },
    );
    const end = provideAmbient({
      current: () => ({ priority: 5 }),
      run: (_context, work) => work(),
      headers: ({ priority, retried }) => ({ context: `priority=${priority} retried=${retried}` }),
    });
    try {
      await producer.send({ topic, messages: [{ value: 'sent', headers: { own: 'x' } }] });
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: [{ value: 'in a transaction' }] });
      await transaction.commit();
    } finally {
      end();
    }
    const records = [...(await lab.read(topic)).values()].flat();
    const told = records.map(({ value, headers }) => [
      String(value),
      Object.fromEntries(Object.entries(headers ?? {}).map(([name, text]) => [name, String(text)])),
    ]);
    const context = 'priority=5 retried=false';
    expect(told).toEqual([
      ['sent', { own: 'x', context }],
      ['in a transaction', { context }],
    ]);
  });
});
