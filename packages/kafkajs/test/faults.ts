/** Faults that lose messages of a bare producer, and a tally of what came of the sends. */
import type { Message } from 'kafkajs';
import { compare, type TestCluster } from './cluster.js';

/** The values of sends that resolved, and how many sends there were. */
export class Tally {
  readonly values: string[] = [];
  readonly errors: unknown[] = [];
  sends = 0;

  /** Counts a send of these values. Never rejects. */
  async count(values: readonly string[], send: Promise<unknown>): Promise<void> {
    this.sends += 1;
    try {
      await send;
      this.values.push(...values);
    } catch (error) {
      this.errors.push(error);
    }
  }

  /** What is in the topic of that which was promised to be there. */
  async row(lab: TestCluster, topic: string): Promise<TallyRow> {
    return {
      sends: this.sends,
      rejected: this.errors.length,
      messages: this.values.length,
      ...compare(this.values, await lab.values(topic)),
    };
  }
}

/** A row of a printed table. */
export interface TallyRow {
  readonly sends: number;
  readonly rejected: number;
  /** Of sends that resolved. */
  readonly messages: number;
  readonly missing: number;
  readonly doubled: number;
}

/** Messages of a send, with a key of their own each or without. */
export function messagesOf(name: string, count: number, keyed: boolean): Message[] {
  return Array.from({ length: count }, (_, part) => {
    const value = `${name}/${part}`;
    return keyed ? { key: value, value } : { value };
  });
}

/** A broker stalls, `send` sends, and 0.8 s later the broker is killed; whole again when all is settled. */
export async function stallAndKill(
  lab: TestCluster,
  topics: readonly string[],
  send: () => Promise<unknown>[],
): Promise<void> {
  const victim = lab.cluster.node(2);
  await victim.pause();
  const settled = Promise.allSettled(send());
  await new Promise((done) => setTimeout(done, 800));
  await victim.kill();
  await settled;
  await victim.start();
  await lab.cluster.ready(topics);
}

/** What `send` sends is delivered and not answered: the connection is closed instead. */
export async function cutAnswers(lab: TestCluster, send: () => Promise<unknown>[]): Promise<void> {
  const { nodes } = lab.cluster;
  for (const { proxy } of nodes) {
    await proxy.set({ cut: { direction: 'response', afterBytes: 0 } });
  }
  const sends = send();
  await new Promise((done) => setTimeout(done, 50));
  for (const { proxy } of nodes) await proxy.clear();
  await Promise.all(sends);
}
