/** What `@resil/kafkajs` adds on loopback to a send of one message, and of a hundred. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { resilient } from '@resil/kafkajs';
import { kafkaMissing } from '@resil/testbed';
import { Kafka, logLevel, type Message, Partitioners, type Producer } from 'kafkajs';
import { adapterCost } from '../adapter-cost.js';
import type { KafkaHostMessage } from '../kafka-host.js';
import type { Part, Progress } from '../part.js';
import type { PartReport } from '../report.js';

const TOPICS = ['bare', 'again', 'wrapped'] as const;
const BATCH = 100;

const message = (index: number): Message => ({ key: `key ${index}`, value: 'x'.repeat(100) });

export const kafkajsAdapter: Part = async (progress) => {
  const missing = await kafkaMissing();
  if (missing !== undefined) return notMeasured(missing);
  const { host, brokers } = await startHost(progress);
  const producers: Producer[] = [];
  const make = async (protect = (kafka: Kafka): Kafka => kafka): Promise<Producer> => {
    const kafka = protect(new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }));
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    producers.push(producer);
    return producer;
  };
  try {
    const bare = await make();
    const again = await make();
    const wrapped = await make((kafka) => resilient(kafka));
    const cost = (what: string, messages: Message[]): Promise<PartReport> => {
      progress(`${what}: bare, bare again, @resil/kafkajs`);
      const contender = (name: string, producer: Producer, topic: (typeof TOPICS)[number]) => ({
        name,
        call: () => producer.send({ topic, messages }),
      });
      return adapterCost(`Kafka, ${what}`, {
        bare: contender('kafkajs, bare', bare, 'bare'),
        control: contender('kafkajs, bare again (A/A)', again, 'again'),
        wrapped: contender('@resil/kafkajs', wrapped, 'wrapped'),
        others: [],
      });
    };
    const single = await cost('sends of one message', [message(0)]);
    const batched = await cost(
      `sends of ${BATCH} messages`,
      Array.from({ length: BATCH }, (_, index) => message(index)),
    );
    return {
      tables: [...single.tables, ...batched.tables],
      targets: [...single.targets, ...batched.targets],
    };
  } finally {
    for (const producer of producers) await producer.disconnect();
    const gone = once(host, 'exit');
    host.disconnect();
    await gone;
  }
};

async function startHost(
  progress: Progress,
): Promise<{ readonly host: ChildProcess; readonly brokers: readonly string[] }> {
  const host = fork(fileURLToPath(new URL('../kafka-host.js', import.meta.url)), TOPICS, {
    execArgv: [],
  });
  const brokers = await new Promise<readonly string[]>((resolve, reject) => {
    host.on('message', (told: KafkaHostMessage) => {
      if ('brokers' in told) resolve(told.brokers);
      else progress(told.progress);
    });
    host.once('exit', (code) => reject(new Error(`the process with Kafka ended with ${code}`)));
  });
  return { host, brokers };
}

function notMeasured(why: string): PartReport {
  const claim = 'Kafka sends: at most 5 % of throughput beyond the A/A control';
  return { tables: [], targets: [{ claim, measured: `not measured: ${why}`, reached: false }] };
}
