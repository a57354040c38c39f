/** Three real brokers, and what is missing of sends that resolved: bare kafkajs beside the wrapped one, under the same faults. */
import { writeSync } from 'node:fs';
import { type Message, Partitioners, type Producer } from 'kafkajs';
import { expect, it } from 'vitest';
import { describeKafka, QUICK, type TestCluster } from '../cluster.js';
import { cutAnswers, messagesOf, stallAndKill, Tally, type TallyRow } from '../faults.js';

const ROUNDS = Number(process.env.RESIL_ROUNDS ?? 14);
const SENDERS = 12;
const BATCH = 7;
/** Between two sends of a sender, in ms, so that the machine is busy with faults rather than with sends. */
const PAUSE = 200;
const CLIENT = { ...QUICK, requestTimeout: 20_000 };
const PATIENT = { totalTimeout: 60_000, attemptTimeout: 60_000 };
const IDEMPOTENT = { idempotent: true, maxInFlightRequests: 1 };

/** One row of the table: a producer with a topic of its own. */
interface Contender {
  readonly name: string;
  readonly wrapped: boolean;
  readonly idempotent: boolean;
  readonly keyed: boolean;
  readonly topic: string;
  readonly tally: Tally;
  send(messages: Message[]): Promise<void>;
}

async function contender(
  lab: TestCluster,
  [wrapped, idempotent, keyed]: readonly [boolean, boolean, boolean],
  partitions = 6,
): Promise<Contender> {
  const topic = await lab.topic(partitions);
  let producer: Producer;
  if (wrapped) {
    producer = await lab.producer(PATIENT, idempotent ? IDEMPOTENT : {}, CLIENT);
  } else {
    const createPartitioner = Partitioners.DefaultPartitioner;
    const config = { createPartitioner, ...(idempotent && IDEMPOTENT) };
    producer = lab.use(lab.cluster.client(CLIENT).producer(config));
    await producer.connect();
  }
  const tally = new Tally();
  const send = (messages: Message[]): Promise<void> =>
    tally.count(
      messages.map(({ value }) => String(value)),
      producer.send({ topic, messages }),
    );
  // Everybody knows the topic and its brokers before the first fault.
  await send(messagesOf('first', partitions, keyed));
  const kind = `${keyed ? 'keyed' : 'un-keyed'}${idempotent ? ', idempotent' : ''}`;
  const name = `${kind}: ${wrapped ? 'wrapped' : 'bare'}`;
  return { name, wrapped, idempotent, keyed, topic, tally, send };
}

/** Bare beside wrapped, row after row. */
const EACH = [false, true].flatMap((idempotent) =>
  [false, true].flatMap((keyed) =>
    [false, true].map((wrapped) => [wrapped, idempotent, keyed] as const),
  ),
);

async function print(lab: TestCluster, title: string, all: readonly Contender[]): Promise<void> {
  const rows: Record<string, TallyRow> = {};
  for (const one of all) rows[one.name] = await one.tally.row(lab, one.topic);
  console.log(title);
  console.table(rows);
  for (const { name, wrapped, idempotent, tally } of all) {
    if (!wrapped) continue;
    expect(tally.errors, name).toEqual([]);
    expect(rows[name], name).toMatchObject({ missing: 0, ...(idempotent && { doubled: 0 }) });
  }
}

function progress(message: string): void {
  writeSync(2, `${message}\n`);
}

describeKafka('of sends that resolved, nothing is missing', { nodes: 3 }, (lab) => {
  it(`in ${ROUNDS} rounds of SIGKILL and restart under load`, async () => {
    const all = await Promise.all(EACH.map((one) => contender(lab, one)));
    let stop = false;
    const sender = async ({ send, keyed }: Contender, id: number): Promise<void> => {
      for (let i = 0; !stop; i += 1) {
        await send(messagesOf(`${id}/${i}`, BATCH, keyed));
        await new Promise((done) => setTimeout(done, PAUSE));
      }
    };
    const senders = all.flatMap((one) =>
      Array.from({ length: SENDERS }, (_, id) => sender(one, id)),
    );
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        const node = lab.cluster.node((round % 3) + 1);
        await new Promise((done) => setTimeout(done, 1_000));
        await node.kill();
        await new Promise((done) => setTimeout(done, 5_000));
        await node.start();
        await lab.cluster.ready(all.map(({ topic }) => topic));
        const sends = all.reduce((sum, { tally }) => sum + tally.sends, 0);
        progress(`round ${round + 1} of ${ROUNDS}: broker ${node.id} died; ${sends} sends so far`);
      }
    } finally {
      stop = true;
      await Promise.all(senders);
    }
    const title = `SIGKILL and restart, ${ROUNDS} rounds, ${SENDERS} senders, ${BATCH} messages a send`;
    await print(lab, title, all);
  });

  it('when a broker stalls with 200 sends in flight and is killed', async () => {
    const all: Contender[] = [];
    for (let index = 0; index < EACH.length; index += 2) {
      // Made just before: a broker that has been away leads none of the older topics.
      const pair = await Promise.all(
        EACH.slice(index, index + 2).map((one) => contender(lab, one)),
      );
      all.push(...pair);
      progress(`a broker stalls and is killed: ${pair.map(({ name }) => name).join(', ')}`);
      const topics = pair.map(({ topic }) => topic);
      await stallAndKill(lab, topics, () =>
        pair.flatMap(({ send, keyed }) =>
          Array.from({ length: 200 }, (_, i) => send(messagesOf(String(i), 6, keyed))),
        ),
      );
    }
    await print(lab, 'a broker stalls with 200 sends of 6 messages in flight and is killed', all);
  });

  it('when answers are cut', async () => {
    const kinds = EACH.filter(([, , keyed]) => !keyed);
    const all = await Promise.all(kinds.map((one) => contender(lab, one, 1)));
    for (let round = 0; round < ROUNDS; round += 1) {
      await cutAnswers(lab, () =>
        all.flatMap(({ send }) =>
          Array.from({ length: 8 }, (_, i) => send(messagesOf(`${round}/${i}`, 1, false))),
        ),
      );
      progress(`round ${round + 1} of ${ROUNDS}: answers were cut`);
    }
    await print(lab, `answers cut, ${ROUNDS} times, 8 senders, one partition`, all);
  });
});
