import { circuitBreaker, fallback, pipeline, type ResilienceEvent, timeout } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { operationsKit, readTimeline } from '../src/index.js';
import { TimelineReader } from '../src/ops/timeline.js';
import { Modules } from './modules.js';

const modules = new Modules();

/** The log of an outage as a service writes it: 20 calls well, 30 in the outage, 20 well. */
async function outage(line: (event: ResilienceEvent) => string = JSON.stringify): Promise<string> {
  const clock = new VirtualClock({ now: 1_000 });
  const log: string[] = [];
  const prices = pipeline(
    { name: 'prices', clock },
    fallback((error, { attempt }) => {
      if (attempt > 1) throw error;
      return 0;
    }),
    circuitBreaker({ name: 'prices', clock, failureThreshold: 5, resetTimeout: 2_000 }),
    timeout({ duration: 500 }),
  );
  prices.on((event) => log.push(line(event)));
  const down = Object.assign(new Error('secret'), { code: 'ECONNREFUSED' });
  for (let call = 0; call < 70; call++) {
    const work = call >= 20 && call < 50 ? () => Promise.reject(down) : async () => 1;
    await prices.execute(work).catch(() => {});
    await clock.advance(200);
  }
  return log.join('\n');
}

function timelineOf(log: string) {
  const reader = new TimelineReader();
  for (const line of log.split('\n')) reader.read(line);
  return reader.finish();
}

describe('the timeline of an incident', () => {
  it('folds bursts, follows circuits and counts calls', async () => {
    const timeline = timelineOf(await outage());
    expect(timeline.outages).toEqual([
      { pipeline: 'prices', circuit: 'prices', openedAt: 5_800, closedAt: 11_800 },
    ]);
    expect(timeline.calls.prices).toMatchObject({ succeeded: 70, fallbacks: 34 });
    expect(timeline.entries.map(({ type, count }) => [type, count])).toEqual([
      ['fallback.used', 34],
      ['circuit.opened', 3],
      ['circuit.rejected', 27],
      ['circuit.half-opened', 3],
      ['circuit.closed', 1],
    ]);
    const [answers] = timeline.entries;
    expect(answers?.details).toEqual({ ECONNREFUSED: 7, RESIL_CIRCUIT_OPEN: 27 });
  });

  it('begins a new entry after some silence', () => {
    const failed = (at: number): string =>
      JSON.stringify({ type: 'call.failed', pipeline: 'a', at, duration: 1 });
    const { entries } = timelineOf([failed(0), failed(9_000), failed(19_001)].join('\n'));
    expect(entries.map(({ at, until, count }) => [at, until, count])).toEqual([
      [0, 9_000, 2],
      [19_001, 19_001, 1],
    ]);
  });

  it('keeps its memory within bounds, whatever the log holds', () => {
    const reader = new TimelineReader();
    for (let index = 0; index < 5_000; index++) {
      const event = {
        type: 'call.failed',
        pipeline: `p${index}`,
        at: index,
        errorType: `e${index}`,
      };
      reader.read(JSON.stringify(event));
      reader.read(JSON.stringify({ ...event, pipeline: 'one' }));
    }
    const { entries, dropped, calls } = reader.finish();
    expect(entries).toHaveLength(1_000);
    expect(dropped).toBe(4_001);
    expect(Object.keys(calls)).toHaveLength(1_000);
    const one = entries.find(({ pipeline }) => pipeline === 'one');
    expect(one?.count).toBe(5_000);
    expect(Object.keys(one?.details ?? {})).toHaveLength(11);
  });

  it('passes over what is no event, and reads what a logger has put around it', () => {
    const event = {
      type: 'circuit.opened',
      pipeline: 'a',
      strategy: 'b',
      at: 5,
      reason: 'failures',
    };
    const { entries, skipped } = timelineOf(
      [
        'no json',
        '{"msg":"started","time":1}',
        '',
        'null',
        JSON.stringify({ level: 40, time: 1_700_000_000_000, event }),
        JSON.stringify({ ...event, time: '2026-01-01T00:00:00Z', at: 20_000 }),
      ].join('\n'),
    );
    expect(skipped).toBe(3);
    expect(entries.map(({ time }) => time)).toEqual([1_700_000_000_000, 1_767_225_600_000]);
  });
});

describe('the post-mortem', () => {
  const module = `import { circuitBreaker, pipeline, timeout } from '@resil/core';
    export const prices = pipeline('prices', circuitBreaker({ name: 'prices' }), timeout({ duration: 500 }));`;

  it('is filled with what the log tells', async () => {
    const service = await modules.inspect(module, 'shop');
    const timeline = await readTimeline(await modules.write(await outage(), 'events.ndjson'));
    const text = operationsKit(service, { timeline })['post-mortem.md'] ?? '';
    expect(text).toContain('| prices | 70 | 0 | 0 | 0 | 34 |');
    expect(text).toContain('| +4.8 s | prices | **the circuit opened** 3 times within 4 s |');
    expect(text).toContain("'prices' of prices closed after 6 s.");
    expect(text).toContain(
      "The first call went wrong at +4.0 s (prices). The first circuit ('prices' of prices) opened at +4.8 s, 800 ms later.",
    );
    expect(text).not.toContain('secret');
    expect(text).not.toContain('No event log was given');
  });

  it('leaves its places open without a log', async () => {
    const text = operationsKit(await modules.inspect(module, 'shop'))['post-mortem.md'] ?? '';
    expect(text).toContain('No event log was given');
    expect(text).toContain('## Actions');
  });
});
