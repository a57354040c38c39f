/** Ten million calls through a keyed standard pipeline: what stays behind. */
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Call, keyed, standard } from '@resil/core';
import type { Part } from '../part.js';
import { nanoseconds } from '../report.js';
import { collectGarbage } from '../rounds.js';

const CALLS = 10_000_000;
const KEYS = 10_000;
const CHECKPOINTS = 5;
const IN_FLIGHT = 50;
const IDLE_TIMEOUT = 5_000;
/** Every so many calls the operation reads its signal, as one that sends a request would. */
const SIGNAL_EVERY = 16;
/** What the heap may grow by from the first checkpoint to the last: noise of the collector. */
const MAX_GROWTH = 1.02;

export const soak: Part = async (progress) => {
  const caller = new AbortController();
  const options = { signal: caller.signal };
  const services = keyed((key) => standard({ name: 'service', key }), {
    maxKeys: KEYS,
    idleTimeout: IDLE_TIMEOUT,
  });
  const names = Array.from({ length: KEYS }, (_, index) => `service-${index}`);
  const before = heap();
  let started = 0;
  const operation = async ({ signal }: Call): Promise<boolean> => signal.aborted;
  const quickOperation = async (): Promise<boolean> => false;
  const worker = async (until: number): Promise<void> => {
    while (started < until) {
      const index = started++;
      const fn = index % SIGNAL_EVERY === 0 ? operation : quickOperation;
      await services.execute(names[index % KEYS] as string, fn, options);
    }
  };
  const rows: string[][] = [['before', megabytes(before), '0', ...leftBehind(caller.signal)]];
  const heaps: number[] = [];
  const cpu = process.cpuUsage();
  for (let checkpoint = 1; checkpoint <= CHECKPOINTS; checkpoint++) {
    const until = (CALLS / CHECKPOINTS) * checkpoint;
    await Promise.all(Array.from({ length: IN_FLIGHT }, () => worker(until)));
    const keys = services.size;
    heaps.push(heap());
    progress(`${until.toLocaleString('en')} calls, heap ${megabytes(heaps.at(-1) as number)}`);
    rows.push([
      `${until.toLocaleString('en')} calls`,
      megabytes(heaps.at(-1) as number),
      keys.toLocaleString('en'),
      ...leftBehind(caller.signal),
    ]);
  }
  const spent = process.cpuUsage(cpu);
  await sleep(IDLE_TIMEOUT + 500);
  const keysLeft = services.size;
  const after = heap();
  const left = leftBehind(caller.signal);
  rows.push(['after idleTimeout', megabytes(after), `${keysLeft}`, ...left]);
  const growth = (heaps.at(-1) as number) / (heaps[0] as number);
  return {
    tables: [
      {
        title: `10 million calls through a keyed standard pipeline with 10,000 keys (${nanoseconds(((spent.user + spent.system) * 1_000) / CALLS)} each)`,
        head: ['', 'heap', 'keys', 'timers', "listeners on the caller's signal"],
        rows,
      },
    ],
    targets: [
      {
        claim: '10 million keyed calls: flat heap',
        measured: `${((growth - 1) * 100).toFixed(1)} % from the first 2 million to the last`,
        reached: growth <= MAX_GROWTH,
      },
      {
        claim: 'no timer, listener or key left after idleTimeout',
        measured: `${left[0]} timers, ${left[1]} listeners, ${keysLeft} keys`,
        reached: keysLeft === 0 && left.every((count) => count === '0'),
      },
    ],
  };
};

/** Timers that are pending, and listeners on a signal. */
function leftBehind(signal: AbortSignal): [timers: string, listeners: string] {
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  return [`${timers}`, `${getEventListeners(signal, 'abort').length}`];
}

function heap(): number {
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}
