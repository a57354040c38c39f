/** What 300 senders and the cluster go through in an outage: bare kafkajs beside the wrapped one, in the same outage. */
import { writeSync } from 'node:fs';
import type { Kafka, Producer } from 'kafkajs';
import { expect, it } from 'vitest';
import { resilient } from '../../src/index.js';
import { describeKafka, type TestCluster, until } from '../cluster.js';
import { WatchedSockets } from '../sockets.js';

const SENDERS = 300;
/** Longer than the default attempt timeout, in ms. */
const OUTAGE = Number(process.env.RESIL_OUTAGE ?? 20_000);
/** Between two sends of a sender, in ms. */
const PAUSE = 250;

/** Senders of one producer. */
class Senders {
  ok = 0;
  rejected = 0;
  longest = 0;
  readonly answered = new Set<number>();
  readonly #waiting = new Map<number, number>();
  #stop = false;

  start(send: () => Promise<unknown>): void {
    for (let id = 0; id < SENDERS; id += 1) void this.#run(id, send);
  }

  async #run(id: number, send: () => Promise<unknown>): Promise<void> {
    while (!this.#stop) {
      const began = performance.now();
      this.#waiting.set(id, began);
      const ok = await send().then(
        () => true,
        () => false,
      );
      if (this.#stop) return;
      this.#waiting.delete(id);
      this.answered.add(id);
      if (ok) this.ok += 1;
      else this.rejected += 1;
      this.longest = Math.max(this.longest, performance.now() - began);
      await new Promise((done) => setTimeout(done, PAUSE));
    }
  }

  /** Nobody sends any more, and what settles from now on counts for nothing. */
  stop(): void {
    this.#stop = true;
    const now = performance.now();
    for (const began of this.#waiting.values()) this.longest = Math.max(this.longest, now - began);
  }

  get held(): number {
    return this.#waiting.size;
  }
}

const clients: Readonly<Record<string, (kafka: Kafka) => Kafka>> = {
  bare: (kafka) => kafka,
  wrapped: (kafka) => resilient(kafka),
  'wrapped, attemptTimeout 2,000': (kafka) => resilient(kafka, { attemptTimeout: 2_000 }),
};

/** What came of one client's senders. */
interface Seen {
  /** Since the outage began. */
  readonly requests: number;
  readonly resolved: number;
  readonly rejected: number;
  /** Senders that had an answer at all. */
  readonly answered: number;
}

interface Outage {
  readonly name: string;
  readonly config?: { name: string; value: string }[];
  begin(lab: TestCluster, topics: string[]): Promise<unknown>;
  /** What the README says of this outage and not of all; `quick` has the short attempt timeout. */
  check(bare: Seen, wrapped: Seen, quick: Seen): void;
}

/** No answer at all, while the cluster is away as a whole. */
const holdsAll = (bare: Seen): void => expect(bare.answered).toBe(0);

/** Neither storms, though each sends what others would hold. */
const asksLess = (bare: Seen, wrapped: Seen, quick: Seen): void => {
  expect(wrapped.requests).toBeLessThan(bare.requests);
  expect(quick.requests).toBeLessThan(bare.requests);
};

const one = async (lab: TestCluster): Promise<void> => {
  await lab.cluster.node(2).proxy.set({ mode: 'refuse' });
  await lab.cluster.node(2).kill();
};
const outages: readonly Outage[] = [
  {
    name: 'refused',
    begin: async ({ cluster }) => {
      for (const node of cluster.nodes) {
        await node.proxy.set({ mode: 'refuse' });
        await node.kill();
      }
    },
    check: holdsAll,
  },
  {
    name: 'frozen',
    begin: ({ cluster }) => Promise.all(cluster.nodes.map((node) => node.pause())),
    check: (bare, wrapped, quick) => {
      holdsAll(bare);
      asksLess(bare, wrapped, quick);
    },
  },
  {
    name: 'accepted and closed',
    begin: ({ cluster }) =>
      Promise.all(cluster.nodes.map((node) => node.proxy.set({ mode: 'close' }))),
    check: asksLess,
  },
  {
    name: 'one of three killed',
    begin: one,
    check: (bare, wrapped, quick) => {
      asksLess(bare, wrapped, quick);
      expect(wrapped.resolved).toBeGreaterThan(bare.resolved);
      // Shorter than the move of a leader: messages for time.
      expect(quick.rejected).toBeGreaterThan(wrapped.rejected);
      expect(quick.resolved).toBeLessThan(wrapped.resolved);
    },
  },
  {
    name: 'one of three frozen',
    begin: ({ cluster }) => cluster.node(2).pause(),
    check: (bare, wrapped, quick) => {
      expect(bare.answered).toBeLessThan(SENDERS);
      expect(wrapped.requests).toBeLessThan(bare.requests);
      expect(wrapped.resolved).toBeGreaterThan(bare.resolved);
      expect(quick.resolved).toBeGreaterThan(wrapped.resolved);
      expect(quick.rejected).toBeGreaterThan(wrapped.rejected);
    },
  },
  {
    name: 'NOT_ENOUGH_REPLICAS',
    config: [{ name: 'min.insync.replicas', value: '3' }],
    begin: async (lab, topics) => {
      await one(lab);
      // Sends are refused when the leaders know that they are too few; before, they wait.
      await lab.cluster.withAdmin((admin) =>
        until(async () => {
          const told = await admin.fetchTopicMetadata({ topics });
          return told.topics.every(({ partitions }) =>
            partitions.every(({ isr, leader }) => leader !== 2 && isr.length === 2),
          );
        }),
      );
    },
    check: asksLess,
  },
];

describeKafka(`${SENDERS} senders in an outage of ${OUTAGE} ms`, { nodes: 3 }, (lab) => {
  const rows: Record<string, object> = {};

  it.each(outages)('$name', async ({ name, config, begin, check }) => {
    const contenders = await Promise.all(
      Object.entries(clients).map(async ([client, wrap]) => {
        const topic = await lab.topic(6, config);
        const traffic = new WatchedSockets();
        const socketFactory = traffic.factory;
        const kafka = wrap(lab.cluster.client({ socketFactory }));
        const producer: Producer = lab.use(kafka.producer());
        await producer.connect();
        const send = () => producer.send({ topic, messages: [{ value: 'x' }] });
        // All is well yet, but a new topic on a busy machine may take longer than the short timeout.
        await until(() =>
          send().then(
            () => true,
            () => false,
          ),
        );
        return { client, topic, traffic, send, senders: new Senders() };
      }),
    );
    writeSync(2, `${name}\n`);
    await begin(
      lab,
      contenders.map(({ topic }) => topic),
    );
    const seen: Seen[] = [];
    const before = contenders.map(({ traffic }) => ({ ...traffic }));
    for (const { senders, send } of contenders) senders.start(send);
    await new Promise((done) => setTimeout(done, OUTAGE));
    for (const [index, { client, traffic, senders }] of contenders.entries()) {
      senders.stop();
      const { requests = 0, connects = 0 } = before[index] ?? {};
      seen.push({
        requests: traffic.requests - requests,
        resolved: senders.ok,
        rejected: senders.rejected,
        answered: senders.answered.size,
      });
      const perSecond = (count: number) => Number(((count * 1_000) / OUTAGE).toFixed(1));
      rows[`${name}: ${client}`] = {
        'requests/s': perSecond(traffic.requests - requests),
        'connects/s': perSecond(traffic.connects - connects),
        resolved: senders.ok,
        rejected: senders.rejected,
        'senders answered': senders.answered.size,
        'held at the end': senders.held,
        'longest wait (s)': Number((senders.longest / 1_000).toFixed(1)),
      };
    }
    console.table(rows);
    const [bare, wrapped, quick] = seen as [Seen, Seen, Seen];
    // Nobody is held for as long as the outage lasts.
    expect([wrapped.answered, quick.answered]).toEqual([SENDERS, SENDERS]);
    check(bare, wrapped, quick);
  });
});
