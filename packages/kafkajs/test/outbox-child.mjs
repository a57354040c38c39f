// A service that sends numbered messages and tells which were accepted; killed by its parent at any moment.
import { writeSync } from 'node:fs';
import { fileStore, outbox, resilient, tableStore } from '@resil/kafkajs';
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';

const { brokers, topic, keys, from, mode, path, connection, table } = JSON.parse(process.argv[2]);
const pool = connection && new pg.Pool(connection);
const store = pool ? tableStore({ pool, table }) : fileStore({ path });
const box = outbox({ store, retryDelay: 100 });
const kafka = resilient(
  new Kafka({
    brokers: brokers.split(','),
    logLevel: logLevel.NOTHING,
    requestTimeout: 1_000,
    connectionTimeout: 500,
    retry: { retries: 2, initialRetryTime: 50, maxRetryTime: 200 },
  }),
  {
    fallback: box,
    attemptTimeout: 500,
    circuitBreaker: { failureThreshold: 3, resetTimeout: 300 },
  },
);
const producer = kafka.producer();
for (;;) {
  try {
    await producer.connect();
    break;
  } catch {
    // The broker is away: sends go into the outbox all the same.
    if (mode !== 'drain') break;
  }
}
if (mode === 'drain') {
  await box.drained();
  await producer.disconnect();
  await pool?.end();
  process.exit(0);
}
writeSync(1, 'ready\n');
for (let i = from; ; i += 1) {
  const messages = [{ key: `k${i % keys}`, value: String(i) }];
  producer.send({ topic, messages }).then(
    () => writeSync(1, `${i}\n`),
    (error) => {
      writeSync(1, `!${i}\n`);
      console.error(`message ${i} was refused: ${error}`);
    },
  );
  await new Promise((done) => setTimeout(done, 5));
}
