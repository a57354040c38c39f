/** Kills a service with an outbox, and the way to its broker, at random moments; used by the tests and by the soak command. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresServer } from '@resil/testbed';
import { expect } from 'vitest';
import type { TestCluster } from './cluster.ts';

/** What came of the rounds. */
export interface OutboxOutcome {
  /** Messages whose send resolved: written, or kept. */
  readonly accepted: number;
  readonly refused: number;
  readonly missing: number;
  readonly doubled: number;
  /** Keys whose messages are not in order. */
  readonly disordered: number;
}

/** What the rounds are made of. */
export interface OutboxRounds {
  readonly rounds: number;
  readonly random: () => number;
  /** Keeps the outbox in a table of it; in a file without. */
  readonly postgres?: PostgresServer | undefined;
  /** Looks at what is there after so many rounds, too, and not only after the last. */
  readonly checkEvery?: number;
  /** Told after each round; with the outcome so far when it was looked at. */
  readonly onRound?: (round: number, accepted: number, outcome?: OutboxOutcome) => void;
}

/** That something was accepted, in this many rounds, and none of it lost, refused or out of order. */
export function expectNothingLost(outcome: OutboxOutcome, rounds: number): void {
  // A round whose service is killed at its start may have none; all others send one every 5 ms.
  expect(outcome.accepted).toBeGreaterThan(10 * rounds);
  expect(outcome).toMatchObject({ refused: 0, missing: 0, disordered: 0 });
}

const child = new URL('./outbox-child.mjs', import.meta.url).pathname;
const KEYS = 3;
/** More than one service gets to send, so that none sends a number of another. */
const NUMBERS = 1_000_000;

/** Runs rounds, then lets everything be sent, and looks at what is there. */
export async function outboxRounds(
  lab: TestCluster,
  { rounds, random, postgres, checkEvery = rounds, onRound }: OutboxRounds,
): Promise<OutboxOutcome> {
  const topic = await lab.topic(2);
  const folder = await mkdtemp(join(tmpdir(), 'resil-outbox-'));
  const service = (mode: 'run' | 'drain', from: number) =>
    new Service({
      brokers: lab.cluster.brokers.join(','),
      topic,
      keys: KEYS,
      from,
      mode,
      ...(postgres
        ? { connection: postgres.connection, table: topic.replaceAll('-', '_') }
        : { path: join(folder, 'outbox.log') }),
    });
  const accepted: number[] = [];
  let refused = 0;
  let broken = false;
  const heal = async (): Promise<void> => {
    broken = false;
    await lab.cluster.heal([topic]);
  };
  const check = async (): Promise<OutboxOutcome> => {
    await heal();
    await service('drain', 0).done();
    return { accepted: accepted.length, refused, ...(await look(lab, topic, accepted)) };
  };
  try {
    for (let round = 0; round < rounds; round += 1) {
      const running = service('run', round * NUMBERS);
      // One in five is killed at any moment of its start.
      if (random() < 0.8) await running.ready;
      await sleep(random() * 1_500);
      if (broken) await heal();
      else broken = await breakBroker(lab, random);
      await sleep(random() * 2_000);
      const told = await running.kill();
      refused += told.refused.length;
      for (const number of told.accepted) accepted.push(number);
      // Every other time the next service finds what this one found last.
      if (broken && random() < 0.5) await heal();
      const looks = (round + 1) % checkEvery === 0 && round + 1 < rounds;
      onRound?.(round + 1, accepted.length, looks ? await check() : undefined);
    }
    return await check();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Freezes the broker, kills it or cuts the way to it, or does nothing; tells whether it did something. */
async function breakBroker(lab: TestCluster, random: () => number): Promise<boolean> {
  const node = lab.cluster.node(1);
  const fault = Math.floor(random() * 4);
  if (fault === 1) await node.pause();
  if (fault === 2) await node.kill();
  if (fault === 3) {
    await node.proxy.set({ mode: 'refuse' });
    node.proxy.resetConnections();
  }
  return fault > 0;
}

/** The service in a process of its own. */
export class Service {
  readonly ended: Promise<unknown>;
  /** It has begun to send. Rejects if it dies before. */
  readonly ready: Promise<void>;
  readonly #process: ChildProcess;
  #text = '';

  constructor(task: object) {
    this.#process = spawn(process.execPath, [child, JSON.stringify(task)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.ended = once(this.#process, 'close');
    this.ready = new Promise((resolve, reject) => {
      this.#process.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
        this.#text += chunk;
        if (this.#text.includes('\n')) resolve();
      });
      this.#process.once('close', () => reject(this.#death('before it was ready')));
    });
    // Not everybody waits for it: some are killed while they start.
    this.ready.catch(() => {});
  }

  /** It has done its task and gone. Rejects if it died of something else. */
  async done(): Promise<void> {
    await this.ended;
    if (this.#process.exitCode !== 0) throw this.#death('before it was done');
  }

  #death(when: string): Error {
    const { exitCode, signalCode } = this.#process;
    return new Error(`the service died ${when}: ${signalCode ?? `exit code ${exitCode}`}`);
  }

  async kill(): Promise<{ accepted: number[]; refused: number[] }> {
    this.#process.kill('SIGKILL');
    await this.ended;
    const told = { accepted: [] as number[], refused: [] as number[] };
    // A line that was not written to its end was not told.
    for (const line of this.#text.split('\n').slice(1, -1)) {
      (line.startsWith('!') ? told.refused : told.accepted).push(Number(line.replace('!', '')));
    }
    return told;
  }
}

async function look(lab: TestCluster, topic: string, accepted: readonly number[]) {
  const wanted = new Set(accepted);
  const seen = new Set<number>();
  let doubled = 0;
  const latest = new Map<string, number>();
  const disordered = new Set<string>();
  for (const message of [...(await lab.read(topic)).values()].flat()) {
    const value = Number(message.value);
    if (seen.has(value)) doubled += 1;
    // Where it is first read is where it stands.
    else if (wanted.has(value)) {
      const key = String(message.key);
      if (value < (latest.get(key) ?? -1)) disordered.add(key);
      latest.set(key, Math.max(value, latest.get(key) ?? -1));
    }
    seen.add(value);
  }
  const missing = accepted.filter((value) => !seen.has(value)).length;
  return { missing, doubled, disordered: disordered.size };
}

function sleep(duration: number): Promise<void> {
  return new Promise((done) => setTimeout(done, duration));
}
