/** The host's types survive: what compiles with kafkajs compiles with what we give back. */
import type { Admin, Batch, Consumer, Kafka, Producer, RecordMetadata, Transaction } from 'kafkajs';
import { expectTypeOf, test } from 'vitest';
import {
  outbox,
  resilient,
  resilientBatchHandler,
  resilientHandler,
  transaction,
} from '../src/index.js';

declare const kafka: Kafka;
class Own extends (null as never as typeof Kafka) {
  readonly own = 1;
}
declare const own: Own;

test('the client keeps its own type', () => {
  expectTypeOf(resilient(kafka)).toEqualTypeOf<Kafka>();
  expectTypeOf(resilient(own)).toEqualTypeOf<Own>();
  expectTypeOf(resilient(kafka).producer()).toEqualTypeOf<Producer>();
  expectTypeOf(resilient(kafka).consumer({ groupId: 'g' })).toEqualTypeOf<Consumer>();
  expectTypeOf(resilient(kafka).admin()).toEqualTypeOf<Admin>();
  expectTypeOf(resilient(kafka.producer())).toEqualTypeOf<Producer>();
});

test('sends take kafkajs records and our options', () => {
  const producer = resilient(kafka).producer();
  expectTypeOf(
    producer.send({
      topic: 't',
      messages: [{ value: 'v' }],
      resilience: { idempotent: true, deadline: 1, key: 'k' },
    }),
  ).toEqualTypeOf<Promise<RecordMetadata[]>>();
  // @ts-expect-error: no such option
  producer.send({ topic: 't', messages: [], resilience: { nonsense: 1 } });
  expectTypeOf(producer.transaction()).toEqualTypeOf<Promise<Transaction>>();
  expectTypeOf(transaction(producer, async () => 7)).toEqualTypeOf<Promise<number>>();
});

test('handlers are told of their run', () => {
  const handler = resilientHandler(async ({ message, resilience }) => {
    expectTypeOf(message.value).toEqualTypeOf<Buffer | null>();
    expectTypeOf(resilience?.signal).toEqualTypeOf<AbortSignal | undefined>();
  });
  void resilient(kafka).consumer({ groupId: 'g' }).run({ eachMessage: handler });
});

test('handlers of batches keep their type', () => {
  const eachBatch = resilientBatchHandler(async ({ batch, resolveOffset, resilience }) => {
    expectTypeOf(batch).toEqualTypeOf<Batch>();
    expectTypeOf(resolveOffset).toEqualTypeOf<(offset: string) => void>();
    expectTypeOf(resilience?.topic).toEqualTypeOf<string | undefined>();
  });
  void resilient(kafka).consumer({ groupId: 'g' }).run({ eachBatch });
  expectTypeOf(eachBatch.drain).toEqualTypeOf<() => void>();
});

test('options are checked', () => {
  resilient(kafka, { fallback: outbox({ store: null as never }), keyBy: 'topic' });
  resilient(kafka, { fallback: () => [] });
  // @ts-expect-error: neither a client nor a producer
  resilient({});
  // @ts-expect-error: no such key
  resilient(kafka, { keyBy: 'message' });
});
