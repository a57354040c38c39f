import {
  bulkhead,
  circuitBreaker,
  keyed,
  type Pipeline,
  pipeline,
  type ResilienceEvent,
  reportErrorsTo,
  retry,
} from '@resil/core';
import { recordEvents, seededRandom, VirtualClock } from '@resil/testing';
import pino from 'pino';
import { beforeEach, describe, expect, it } from 'vitest';
import { type LogOptions, logEvents } from './log-events.js';
import { logLevels, phrases } from './log-levels.js';

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

let clock: VirtualClock;
let lines: Line[];
let orders: Pipeline;

const logger = Object.fromEntries(
  ['debug', 'info', 'warn', 'error'].map((level) => [
    level,
    ({ resilience }: { resilience: object }, message: string) => {
      lines.push({ level, message, fields: resilience as Record<string, unknown> });
    },
  ]),
) as unknown as Parameters<typeof logEvents>[0];

beforeEach(() => {
  clock = new VirtualClock();
  lines = [];
  orders = pipeline({ name: 'orders', clock });
});

const log = (options: LogOptions = {}): (() => void) =>
  logEvents(logger, { pipelines: [orders], clock, ...options });
const messages = (): string[] => lines.map(({ level, message }) => `${level} ${message}`);
const down = (): Promise<never> => {
  const error = new Error('the password is hunter2');
  return Promise.reject(Object.assign(error, { code: 'EDOWN', config: { token: 'hunter2' } }));
};
const swallow = (call: Promise<unknown>): Promise<unknown> => call.catch(() => {});

describe('logEvents', () => {
  it('writes a line for each event, at the level of its type', async () => {
    orders = pipeline(
      'orders',
      retry({ name: 'again', maxAttempts: 2, baseDelay: 100, jitter: 'none', clock }),
      circuitBreaker({ name: 'db', failureThreshold: 2, resetTimeout: 1_000, clock }),
    );
    const stop = log();
    await clock.runUntilSettled(swallow(orders.execute(down)));
    await clock.runUntilSettled(swallow(orders.execute(down)));
    await clock.advance(1_000);
    await orders.execute(async () => 'up');
    expect(messages()).toEqual([
      'info orders: attempt failed, trying again (again, EDOWN)',
      'error orders: circuit opened (db, failures)',
      'warn orders: attempt failed, not tried again (again, attempts, EDOWN)',
      'warn orders: call failed (EDOWN)',
      'debug orders: refused by the circuit (db, open)',
      'info orders: call rejected (RESIL_CIRCUIT_OPEN)',
      'info orders: circuit half-opened (db, reset-timeout)',
      'info orders: circuit closed (db, probe-succeeded)',
    ]);
    expect(lines[0]?.fields).toEqual({
      event: 'retry.scheduled',
      pipeline: 'orders',
      strategy: 'again',
      attempt: 1,
      at: 0,
      delay: 100,
      errorType: 'EDOWN',
    });
    stop();
    await clock.runUntilSettled(swallow(orders.execute(down)));
    expect(lines).toHaveLength(8);
  });

  it('takes other levels, and none', async () => {
    const stop = log({ levels: { 'call.failed': 'error', 'call.succeeded': 'debug' } });
    await swallow(orders.execute(down));
    await orders.execute(async () => 'up');
    stop();
    const silent = log({ levels: { 'call.failed': false } });
    await swallow(orders.execute(down));
    silent();
    expect(messages()).toEqual([
      'error orders: call failed (EDOWN)',
      'debug orders: call succeeded',
    ]);
  });

  it('folds bursts of lines that are alike, and tells how many there were', async () => {
    const stop = log({ maxLines: 2 });
    for (let call = 0; call < 1_236; call++) await swallow(orders.execute(down));
    expect(lines).toHaveLength(2);
    await clock.advance(9_999);
    expect(lines).toHaveLength(2);
    await clock.advance(1);
    expect(lines.at(-1)).toEqual({
      level: 'warn',
      message: 'orders: call failed (EDOWN) … and 1,234 more in 10 s',
      fields: {
        event: 'call.failed',
        pipeline: 'orders',
        duration: 0,
        errorType: 'EDOWN',
        folded: 1_234,
      },
    });
    await swallow(orders.execute(down));
    expect(messages().at(-1)).toBe('warn orders: call failed (EDOWN)');
    expect(clock.pending).toBe(0);
    stop();
  });

  it('folds what another reason, error or pipeline has apart, and all keys together', async () => {
    const shards = keyed((key) => pipeline({ name: 'shards', key, clock }));
    const stop = log({ pipelines: [orders, shards], maxLines: 1 });
    for (const key of ['a', 'b', 'c']) await swallow(shards.execute(key, down));
    await swallow(orders.execute(down));
    await swallow(orders.execute(() => Promise.reject(new TypeError('hunter2'))));
    stop();
    expect(messages()).toEqual([
      'warn shards: call failed (EDOWN)',
      'warn orders: call failed (EDOWN)',
      'warn orders: call failed (TypeError)',
      'warn shards: call failed (EDOWN) … and 2 more in 10 s',
    ]);
    expect(lines.at(-1)?.fields).not.toHaveProperty('key');
  });

  it('keeps kinds within bounds, however many there are', async () => {
    const stop = log({ maxLines: 1 });
    for (let kind = 0; kind < 3_000; kind++) {
      await swallow(
        orders.execute(() => Promise.reject(Object.assign(new Error(), { code: `E${kind}` }))),
      );
    }
    expect(lines).toHaveLength(1_001);
    stop();
    expect(messages().at(-1)).toMatch(/… and 1,999 more in 10 s$/);
    await clock.advance(10_000);
    expect(lines).toHaveLength(1_002);
  });

  it('samples by chance', async () => {
    const stop = log({
      sampleRatios: { 'call.failed': 0.1 },
      random: seededRandom(7),
      maxLines: Infinity,
    });
    for (let call = 0; call < 1_000; call++) await swallow(orders.execute(down));
    stop();
    expect(lines.length).toBeGreaterThan(60);
    expect(lines.length).toBeLessThan(140);
    lines = [];
    const none = log({ sampleRatios: { 'call.failed': 0 } });
    await swallow(orders.execute(down));
    none();
    expect(lines).toEqual([]);
  });

  it('writes nothing of an error, a signal or a URL that is a secret', async () => {
    const stop = log({ maxLines: Infinity });
    await swallow(orders.execute(down));
    const controller = new AbortController();
    const call = orders.execute(
      ({ signal }) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason)),
        ),
      { signal: controller.signal, key: 'https://me:hunter2@host/path?token=hunter2' },
    );
    controller.abort('hunter2');
    await swallow(call);
    stop();
    expect(lines).toHaveLength(2);
    expect(JSON.stringify(lines)).not.toContain('hunter2');
    expect(lines[1]?.fields.key).toBe('https://host/path');
  });

  it('marks what a guard only observes', async () => {
    orders = pipeline(
      { name: 'orders', clock },
      bulkhead({ maxConcurrentCalls: 1, mode: 'observe' }),
    );
    const stop = log();
    await Promise.all([orders.execute(async () => 1), orders.execute(async () => 2)]);
    stop();
    expect(lines[0]?.fields).toMatchObject({ event: 'bulkhead.rejected', observed: true });
  });

  it('writes to pino', async () => {
    const written: string[] = [];
    const destination = { write: (line: string) => written.push(line) };
    const stop = logEvents(pino({ base: null, timestamp: false }, destination), {
      pipelines: [orders],
      clock,
    });
    await swallow(orders.execute(down));
    stop();
    expect(written.map((line) => JSON.parse(line))).toEqual([
      {
        level: 40,
        resilience: {
          event: 'call.failed',
          pipeline: 'orders',
          attempt: 1,
          at: 0,
          duration: 0,
          errorType: 'EDOWN',
        },
        msg: 'orders: call failed (EDOWN)',
      },
    ]);
  });

  it('never fails a call when the logger does', async () => {
    const reports: string[] = [];
    const restore = reportErrorsTo((_error, where) => reports.push(where));
    const failing = () => {
      throw new Error('disk full');
    };
    const broken = { debug: failing, info: failing, warn: failing, error: failing };
    const stop = logEvents(broken, { pipelines: [orders], clock, maxLines: 1 });
    for (const answer of [1, 2]) {
      expect(await orders.execute(async () => answer)).toBe(answer);
      await swallow(orders.execute(down));
    }
    await clock.advance(10_000);
    stop();
    restore();
    expect(reports).toEqual(["a listener to 'call.failed'", 'a logger']);
  });

  it('knows every type of event', () => {
    expect(Object.keys(phrases)).toEqual(Object.keys(logLevels));
    const { events } = recordEvents(orders);
    expect(events).toEqual([] satisfies ResilienceEvent[]);
  });

  it('refuses what is not an option, or not a logger', () => {
    expect(() => log({ levels: { 'call.failed': 'loud' as never } })).toThrow(
      'logEvents.levels must be',
    );
    expect(() => log({ levels: { 'call.filed': 'info' } as never })).toThrow(
      'logEvents.levels must be',
    );
    expect(() => log({ sampleRatios: { 'call.failed': 2 } })).toThrow(
      'logEvents.sampleRatios must be',
    );
    expect(() => log({ maxLines: 0 })).toThrow('logEvents.maxLines must be');
    expect(() => logEvents(console as never, { burstInterval: 0 })).toThrow(
      'logEvents.burstInterval',
    );
    expect(() => logEvents({ info: () => {} } as never)).toThrow(
      'logEvents: logger must have the methods debug, info, warn and error',
    );
  });
});
