/** Kills a service with an outbox, and the way to its broker, at random moments; used by the tests and by the soak command. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestCluster } from './cluster.ts';

/** What came of the rounds. */
export interface OutboxOutcome {
  readonly accepted: number;
  readonly refused: number;
  readonly missing: number;
  readonly doubled: number;
  /** Keys whose messages are not in order. */
  readonly disordered: number;
}

const child = new URL('./outbox-child.mjs', import.meta.url).pathname;

/** Runs rounds, then lets everything be sent, and looks at what is there. */
export async function outboxRounds(
  lab: TestCluster,
  rounds: number,
  random: () => number,
): Promise<OutboxOutcome> {
  const topic = await lab.topic(2);
  const folder = await mkdtemp(join(tmpdir(), 'resil-outbox-'));
  const accepted: number[] = [];
  let refused = 0;
  let next = 0;
  const node = lab.cluster.node(1);
  const start = (mode: string): ChildProcess =>
    spawn(
      process.execPath,
      [child, lab.cluster.brokers.join(','), topic, join(folder, 'outbox.log'), String(next), mode],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
  try {
    for (let round = 0; round < rounds; round += 1) {
      const service = start('run');
      let text = '';
      service.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      const closed = once(service, 'close');
      await new Promise((done) => setTimeout(done, 500 + random() * 1_500));
      const fault = Math.floor(random() * 4);
      if (fault === 1) await node.pause();
      if (fault === 2) await node.kill();
      if (fault === 3) {
        await node.proxy.set({ mode: 'refuse' });
        node.proxy.resetConnections();
      }
      await new Promise((done) => setTimeout(done, 500 + random() * 2_000));
      service.kill('SIGKILL');
      await closed;
      await lab.cluster.heal([topic]);
      for (const line of text.split('\n').slice(0, -1)) {
        if (line.startsWith('!')) refused += 1;
        else accepted.push(Number(line));
      }
      // Numbers that were sent and not told of are left out.
      next = Math.max(next, ...accepted) + 1_000;
    }
    const last = start('drain');
    await once(last, 'close');
    return { accepted: accepted.length, refused, ...(await look(lab, topic, accepted)) };
  } finally {
    await rm(folder, { recursive: true, force: true });
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
