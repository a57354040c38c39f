/** The pictures: each runs the real pattern on virtual time, with seeded chance, and shows what became of it. */
import {
  adaptiveLimiter,
  bulkhead,
  cache,
  circuitBreaker,
  coalesce,
  failover,
  fallback,
  hedge,
  keyed,
  pipeline,
  rateLimiter,
  retry,
  retryBudget,
  throttle,
  timeout,
} from '@resil/core';
import { recordEvents } from '@resil/testing';
import type { Bar, Picture } from './picture.js';
import { atRandom, circuitSpans, every, inOrder, type MakeCall, Stage, sampled } from './stage.js';

/** The pictures by the name of their page. */
export const scenarios: Readonly<Record<string, () => Promise<Picture>>> = {
  'circuit-breaker': async () => {
    const stage = new Stage(80, [{ from: 3_000, to: 10_500, does: 'fails' }]);
    const { clock } = stage;
    const prices = pipeline(
      { name: 'prices', clock },
      circuitBreaker({ failureThreshold: 5, resetTimeout: 2_000, halfOpenCalls: 2, clock }),
    );
    const events = recordEvents(prices);
    await stage.run(every(150, 0, 15_000), (work) => prices.execute(work), 15_000);
    return {
      title:
        'Five failures in a row open it; it probes after 2 s, and closes when the probes succeed',
      duration: 15_000,
      rows: [
        { kind: 'bars', label: 'calls', bars: inOrder(stage.calls) },
        { kind: 'band', label: 'circuit', spans: circuitSpans(events.events, 15_000) },
        { kind: 'bars', label: 'at the server', bars: inOrder(stage.attempts) },
      ],
    };
  },

  retry: async () => {
    const rows = [];
    for (const jitter of ['none', 'equal', 'full', 'decorrelated'] as const) {
      const own = new Stage(120, [{ from: 0, to: 1_000, does: 'fails' }]);
      const calls = pipeline(
        { clock: own.clock },
        retry({ maxAttempts: 6, baseDelay: 200, jitter, random: own.random }),
      );
      await own.run([0, 0, 0, 0, 0, 0], (work) => calls.execute(work), 6_000);
      const label = jitter === 'none' ? 'no jitter' : `${jitter} jitter`;
      rows.push({ kind: 'bars' as const, label, bars: inOrder(own.attempts) });
    }
    return {
      title: 'Six calls fail at once and are repeated: without jitter they come back together',
      duration: 4_000,
      rows,
    };
  },

  'retry-budget': async () => {
    const rows = [];
    for (const budget of [false, true]) {
      const stage = new Stage(50, [{ from: 4_000, to: 10_000, does: 'fails' }]);
      const { clock, random } = stage;
      const calls = pipeline(
        { clock },
        retry({
          maxAttempts: 3,
          baseDelay: 100,
          random,
          budget: budget ? retryBudget({ ratio: 0.2, minPerSecond: 1, clock }) : false,
        }),
      );
      let before = 0;
      const points: [number, number][] = [];
      for (const time of every(500, 500, 15_001)) {
        clock.schedule(() => {
          points.push([time, (stage.attempts.length - before) * 2]);
          before = stage.attempts.length;
        }, time);
      }
      await stage.run(every(20, 0, 15_000), (work) => calls.execute(work), 15_000);
      rows.push({ name: budget ? 'with a budget of 0.2' : 'without', points });
    }
    return {
      title:
        '50 calls/s, three attempts each: what the server gets per second while it fails (4 to 10 s)',
      duration: 15_000,
      rows: [{ kind: 'lines', label: 'requests/s', lines: rows }],
    };
  },

  timeout: async () => {
    const stage = new Stage(200, [{ from: 1_000, to: 3_000, does: 'hangs' }]);
    const { clock } = stage;
    const calls = pipeline({ clock }, timeout({ duration: 500 }));
    await stage.run(every(250, 0, 5_000), (work) => calls.execute(work), 6_000);
    return {
      title:
        'The server hangs from 1 s to 3 s: each call ends after 500 ms, and its work is aborted',
      duration: 6_000,
      rows: [
        { kind: 'bars', label: 'calls', bars: inOrder(stage.calls) },
        { kind: 'bars', label: 'at the server', bars: inOrder(stage.attempts) },
      ],
    };
  },

  bulkhead: async () => {
    const stage = new Stage(300);
    const { clock } = stage;
    const limit = bulkhead({ maxConcurrentCalls: 3, maxQueueSize: 4, queueTimeout: 700 });
    const calls = pipeline({ clock }, limit);
    const waits: Bar[] = [];
    const make: MakeCall = (work) => {
      const from = clock.now();
      return calls.execute((call) => {
        if (clock.now() > from) waits.push({ from, to: clock.now(), ending: 'waited' });
        return work(call);
      });
    };
    const running = sampled(clock, 20, 4_000, () => limit.running);
    const waiting = sampled(clock, 20, 4_000, () => limit.waiting);
    await stage.run([...every(200, 0, 900), ...every(40, 900, 1_700)], make, 4_000);
    return {
      title: 'Three at a time, four may wait for 700 ms; the rest of a burst is refused at once',
      duration: 4_000,
      rows: [
        { kind: 'bars', label: 'calls', bars: inOrder(stage.calls) },
        { kind: 'bars', label: 'of these: waiting', bars: inOrder(waits) },
        {
          kind: 'lines',
          label: 'calls at a time',
          step: true,
          lines: [
            { name: 'running', points: running },
            { name: 'waiting', points: waiting },
          ],
        },
      ],
    };
  },

  fallback: async () => {
    const stage = new Stage(100, [{ from: 1_500, to: 3_500, does: 'fails' }]);
    const { clock } = stage;
    const calls = pipeline(
      { clock },
      fallback(() => 'last known'),
      circuitBreaker({ failureThreshold: 3, resetTimeout: 1_000, clock }),
    );
    const events = recordEvents(calls);
    await stage.run(every(150, 0, 5_000), (work) => calls.execute(work), 6_000);
    return {
      title: 'The server fails from 1.5 s to 3.5 s: failures and refusals are answered from here',
      duration: 6_000,
      rows: [
        { kind: 'bars', label: 'calls', bars: inOrder(stage.calls) },
        { kind: 'band', label: 'circuit', spans: circuitSpans(events.events, 6_000) },
        { kind: 'bars', label: 'at the server', bars: inOrder(stage.attempts) },
      ],
    };
  },

  keyed: async () => {
    const stage = new Stage(80);
    const { clock } = stage;
    const shards = keyed(
      (key) =>
        pipeline(
          { key, clock },
          circuitBreaker({ name: key, failureThreshold: 3, resetTimeout: 2_000, clock }),
        ),
      { clock },
    );
    const byKey = new Map<string, Bar[]>([
      ['shard 1', []],
      ['shard 2', []],
      ['shard 3', []],
    ]);
    for (const time of every(60, 0, 5_000)) {
      const key = `shard ${1 + (Math.floor(time / 60) % 3)}`;
      clock.schedule(() => {
        const from = clock.now();
        const fails = key === 'shard 2' && from > 1_000;
        shards
          .execute(key, async () => {
            await new Promise<void>((resolve) => void clock.schedule(resolve, 80));
            if (fails) throw new Error('down');
          })
          .then(
            () => 'succeeded' as const,
            (error) => (error.refusal === true ? ('refused' as const) : ('failed' as const)),
          )
          .then((ending) => byKey.get(key)?.push({ from, to: clock.now(), ending }));
      }, time);
    }
    await clock.advanceTo(6_000);
    return {
      title: 'Shard 2 fails from 1 s on: its own circuit opens, the others go on',
      duration: 6_000,
      rows: [...byKey].map(([label, bars]) => ({
        kind: 'bars' as const,
        label,
        bars: inOrder(bars),
      })),
    };
  },

  hedge: async () => {
    const stage = new Stage(60);
    const { clock, random } = stage;
    const calls = pipeline(
      { clock },
      hedge({ delay: 120, idempotent: true, budget: false, clock }),
    );
    const attempts: Bar[] = [];
    const work: Parameters<MakeCall>[0] = ({ signal }) => {
      const from = clock.now();
      // One in six answers is slow.
      const latency = random() < 1 / 6 ? 500 : 40 + 40 * random();
      return new Promise((resolve, reject) => {
        const forget = clock.schedule(() => {
          attempts.push({ from, to: clock.now(), ending: 'succeeded' });
          resolve('answer');
        }, latency);
        signal.addEventListener('abort', () => {
          forget();
          attempts.push({ from, to: clock.now(), ending: 'aborted' });
          reject(signal.reason);
        });
      });
    };
    for (const time of every(180, 0, 5_000))
      clock.schedule(() => void stage.call((inner) => calls.execute(inner), work), time);
    await clock.advanceTo(6_000);
    return {
      title:
        'One answer in six takes 500 ms; after 120 ms a second attempt starts, and the slow one is aborted',
      duration: 6_000,
      rows: [
        { kind: 'bars', label: 'calls', bars: inOrder(stage.calls) },
        { kind: 'bars', label: 'attempts', bars: inOrder(attempts) },
      ],
    };
  },

  'rate-limiter': async () => {
    const rows = [];
    for (const burstSize of [1, 5]) {
      const stage = new Stage(20);
      const { clock } = stage;
      const limiter = rateLimiter({
        maxCalls: 5,
        interval: 1_000,
        burstSize,
        maxQueueSize: 4,
        queueTimeout: 2_000,
        clock,
      });
      const calls = pipeline({ clock }, limiter);
      const times = [...every(50, 0, 500), ...every(300, 2_500, 5_000)];
      await stage.run(times, (work) => calls.execute(work), 6_000);
      const label = burstSize === 1 ? 'evenly' : 'bursts of 5';
      rows.push(
        { kind: 'bars' as const, label: `calls, ${label}`, bars: inOrder(stage.calls) },
        { kind: 'bars' as const, label: 'let go', bars: inOrder(stage.attempts) },
      );
    }
    return {
      title: 'Five per second: evenly, or up to five at once after a pause',
      duration: 6_000,
      rows,
    };
  },

  'adaptive-limiter': async () => {
    const stage = new Stage(0);
    const { clock, random } = stage;
    const limiter = adaptiveLimiter({ initialLimit: 10, maxLimit: 100, maxQueueSize: 0, clock });
    const calls = pipeline({ clock }, limiter);
    // What the server can do at a time: half of it is gone for a while.
    const capacity = (): number => (clock.now() >= 10_000 && clock.now() < 20_000 ? 15 : 40);
    let inside = 0;
    const work: Parameters<MakeCall>[0] = () => {
      if (inside >= capacity()) return Promise.reject(new Error('503'));
      inside++;
      return new Promise((resolve) => {
        clock.schedule(
          () => {
            inside--;
            resolve('answer');
          },
          80 + 40 * random(),
        );
      });
    };
    const limit = sampled(clock, 100, 30_000, () => limiter.limit);
    const inFlight = sampled(clock, 100, 30_000, () => limiter.inFlight);
    const room = sampled(clock, 100, 30_000, capacity);
    for (const time of atRandom(600, 0, 30_000, random))
      clock.schedule(() => void stage.call((inner) => calls.execute(inner), work), time);
    await clock.advanceTo(30_000);
    return {
      title:
        'AIMD: the limit climbs until the server turns calls away, and follows it down and up again',
      duration: 30_000,
      rows: [
        {
          kind: 'lines',
          label: 'calls at a time',
          lines: [
            { name: 'limit', points: limit },
            { name: 'in flight', points: inFlight },
            { name: 'what the server can', points: room },
          ],
        },
      ],
    };
  },

  throttle: async () => {
    const rows = [];
    for (const throttled of [false, true]) {
      const stage = new Stage(0);
      const { clock, random } = stage;
      const guard = throttle({ window: { duration: 4_000 }, random, clock });
      const calls = pipeline({ clock }, ...(throttled ? [guard] : []));
      let arrived = 0;
      let taken = 0;
      // It can answer 20 per second of the 100 from 5 s to 15 s.
      const work: Parameters<MakeCall>[0] = () => {
        arrived++;
        taken++;
        const overloaded = clock.now() >= 5_000 && clock.now() < 15_000;
        if (overloaded && taken > 10) return Promise.reject(new Error('429'));
        return Promise.resolve('answer');
      };
      const points: [number, number][] = [];
      for (const time of every(500, 500, 22_001)) {
        clock.schedule(() => {
          points.push([time, arrived * 2]);
          arrived = 0;
          taken = 0;
        }, time);
      }
      for (const time of every(10, 0, 22_000))
        clock.schedule(() => void stage.call((inner) => calls.execute(inner), work), time);
      await clock.advanceTo(22_000);
      rows.push({ name: throttled ? 'with a throttle' : 'without', points });
    }
    return {
      title: '100 calls/s to a server that takes 20/s from 5 s to 15 s: what still reaches it',
      duration: 22_000,
      rows: [{ kind: 'lines', label: 'requests/s', lines: rows }],
    };
  },

  failover: async () => {
    const stage = new Stage(0);
    const { clock, random } = stage;
    const service = failover({
      endpoints: ['a', 'b', 'c'],
      outlierDetection: { failureThreshold: 5, baseEjectionDuration: 3_000 },
      clock,
      random,
    });
    const calls = pipeline({ clock }, retry({ maxAttempts: 2, baseDelay: 20, random }), service);
    const byEndpoint = new Map<string, Bar[]>([
      ['a', []],
      ['b', []],
      ['c', []],
    ]);
    for (const time of every(100, 0, 20_000)) {
      clock.schedule(() => {
        const from = clock.now();
        calls
          .execute(async (call) => {
            const { name } = service.endpointOf(call) ?? { name: '' };
            const begun = clock.now();
            const down = name === 'b' && begun >= 2_000 && begun < 8_000;
            await new Promise<void>((resolve) => void clock.schedule(resolve, down ? 20 : 100));
            const ending = down ? 'failed' : 'succeeded';
            byEndpoint.get(name)?.push({ from: begun, to: clock.now(), ending });
            if (down) throw new Error('down');
          })
          .then(
            () => 'succeeded' as const,
            () => 'failed' as const,
          )
          .then((ending) => stage.calls.push({ from, to: clock.now(), ending }));
      }, time);
    }
    await clock.advanceTo(20_000);
    return {
      title:
        'Endpoint b is down from 2 s to 8 s: five failures eject it, and the retries go elsewhere',
      duration: 20_000,
      rows: [
        { kind: 'bars', label: 'calls', bars: inOrder(stage.calls) },
        ...[...byEndpoint].map(([name, bars]) => ({
          kind: 'bars' as const,
          label: `endpoint ${name}`,
          bars: inOrder(bars),
        })),
      ],
    };
  },

  cache: async () => {
    const stage = new Stage(150, [{ from: 5_000, to: 9_000, does: 'fails' }]);
    const { clock } = stage;
    const calls = pipeline(
      { clock },
      cache({
        key: (call) => call.key,
        freshDuration: 1_000,
        staleDuration: 500,
        staleIfErrorDuration: 3_000,
        clock,
      }),
    );
    const events = recordEvents(calls);
    await stage.run(
      every(200, 0, 12_000),
      (work) => calls.execute(work, { key: 'EUR/USD' }),
      12_000,
    );
    const ages = events.events.flatMap((event): [number, number][] =>
      event.type === 'cache.hit' || event.type === 'cache.stale'
        ? [[event.at, event.age / 1_000]]
        : event.type === 'cache.stored'
          ? [[event.at, 0]]
          : [],
    );
    return {
      title:
        'Fresh for 1 s, stale for 0.5 s more; the server fails from 5 s to 9 s, stale answers last for 3 s',
      duration: 12_000,
      rows: [
        { kind: 'bars', label: 'calls', bars: inOrder(stage.calls) },
        { kind: 'bars', label: 'at the server', bars: inOrder(stage.attempts) },
        { kind: 'lines', label: 'age of answers, s', lines: [{ name: 'age', points: ages }] },
      ],
    };
  },

  coalesce: async () => {
    const stage = new Stage(400);
    const { clock } = stage;
    const calls = pipeline({ clock }, coalesce({ key: (call) => call.key }));
    await stage.run(
      [...every(60, 0, 1_500), ...every(60, 2_000, 2_300)],
      (work) => calls.execute(work, { key: 'user 7' }),
      3_000,
    );
    return {
      title: '30 calls for the same key, and the flights that they share',
      duration: 3_000,
      rows: [
        { kind: 'bars', label: 'calls', bars: inOrder(stage.calls) },
        { kind: 'bars', label: 'at the server', bars: inOrder(stage.attempts) },
      ],
    };
  },
};
