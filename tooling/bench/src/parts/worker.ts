/** What becomes of the main thread while CPU work runs on a pool of threads, and without one. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { workerPool } from '@resil/worker';
import type { Part } from '../part.js';
import { nanoseconds, times } from '../report.js';
import { medianOf } from '../statistics.js';
import spin from './worker-task.js';

/** Milliseconds of CPU that a task takes, roughly. */
const TASK_TIME = 50;
const TASKS = 20;
const ROUNDS = 5;

/** Nanoseconds by which timers of the main thread came late. */
interface Delay {
  readonly half: number;
  readonly p99: number;
}

export const worker: Part = async (progress) => {
  const pool = workerPool<typeof spin>(new URL('./worker-task.js', import.meta.url), {
    maxThreads: 1,
    minThreads: 1,
    maxQueueSize: TASKS,
    queueTimeout: Infinity,
    name: 'bench',
  });
  const rounds = roundsOf(TASK_TIME);
  await pool.run(rounds);
  const modes = {
    'nothing else': () => delay(TASKS * TASK_TIME),
    'the work on the pool': () =>
      Promise.all(Array.from({ length: TASKS }, () => pool.run(rounds))),
    'the work on the main thread': async () => {
      for (let task = 0; task < TASKS; task++) {
        spin(rounds);
        await setImmediate();
      }
    },
  };
  const samples = new Map<string, Delay[]>();
  for (let round = 1; round <= ROUNDS; round++) {
    progress(`event loop, round ${round} of ${ROUNDS}`);
    for (const [name, mode] of Object.entries(modes)) {
      samples.set(name, [...(samples.get(name) ?? []), await delayDuring(mode)]);
    }
  }
  progress('round trips');
  const trip = await tripOf(() => pool.run(0));
  await pool.close();

  const of = (name: string, figure: keyof Delay): number =>
    medianOf((samples.get(name) ?? []).map((sample) => sample[figure]));
  const [idle, pooled, main] = Object.keys(modes) as [string, string, string];
  const rows = [idle, pooled, main].map((name) => [
    name,
    nanoseconds(of(name, 'half')),
    nanoseconds(of(name, 'p99')),
    times(of(name, 'half') / of(idle, 'half')),
  ]);
  // The median, because the tail is that of whatever else runs on the machine.
  const share = of(main, 'half') / of(pooled, 'half');
  return {
    tables: [
      {
        title: `Delay of the event loop, ${TASKS} tasks of ${TASK_TIME} ms`,
        head: ['while there is', 'half below', '99 % below', `÷ ${idle}`],
        rows,
      },
      {
        title: 'A task that does nothing, on a thread',
        head: ['call', 'time'],
        rows: [['round trip', nanoseconds(trip)]],
      },
    ],
    targets: [
      {
        claim: 'CPU work on a pool: event-loop delay at most a tenth of that without',
        measured: `1/${share.toFixed(0)}`,
        reached: share >= 10,
      },
    ],
  };
};

async function delayDuring(work: () => Promise<unknown>): Promise<Delay> {
  const resolution = 1;
  const histogram = monitorEventLoopDelay({ resolution });
  histogram.enable();
  await delay(20);
  histogram.reset();
  await work();
  await delay(20);
  histogram.disable();
  // It records the whole interval between two timers.
  const late = (value: number): number => Math.max(0, value - resolution * 1e6);
  return { half: late(histogram.percentile(50)), p99: late(histogram.percentile(99)) };
}

/** Rounds of `spin` that take so many milliseconds. */
function roundsOf(time: number): number {
  const probe = 5_000_000;
  spin(probe);
  const startedAt = performance.now();
  spin(probe);
  return Math.round((probe * time) / (performance.now() - startedAt));
}

/** Nanoseconds of a call by wall time, median of many. */
async function tripOf(call: () => Promise<unknown>): Promise<number> {
  const trips: number[] = [];
  for (let index = 0; index < 2_000; index++) {
    const startedAt = performance.now();
    await call();
    trips.push((performance.now() - startedAt) * 1e6);
  }
  return medianOf(trips);
}
