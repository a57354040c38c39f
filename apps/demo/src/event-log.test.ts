import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTimeline } from '@resil/cli';
import { circuitBreaker, pipeline } from '@resil/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventLog } from './event-log.js';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resil-demo-log-'));
  file = join(folder, 'events.ndjson');
});
afterEach(() => rm(folder, { recursive: true }));

const failing = pipeline('prices', circuitBreaker({ failureThreshold: 2, resetTimeout: 60_000 }));
const secret = 'Bearer abc';
const fail = (): Promise<unknown> =>
  failing
    .execute(() => Promise.reject(Object.assign(new Error(secret), { code: 'EDOWN', secret })))
    .catch(() => {});

describe('EventLog', () => {
  it('is a log that resil ops reads, without anything of the calls', async () => {
    const log = new EventLog(file);
    const stop = failing.on(log.take);
    for (let call = 0; call < 3; call += 1) await fail();
    log.close();
    stop();
    const { events, skipped, calls, outages, entries } = await readTimeline(file);
    expect(skipped).toBe(0);
    expect(calls.prices).toMatchObject({ failed: 2, rejected: 1 });
    expect(outages).toMatchObject([{ pipeline: 'prices', closedAt: undefined }]);
    expect(entries.every(({ time }) => time !== undefined)).toBe(true);
    const text = await readFile(file, 'utf8');
    expect(text.split('\n')).toHaveLength(events + 1);
    expect(text).toContain('EDOWN');
    expect(text).not.toContain(secret);
    expect(text).not.toContain('call.started');
  });

  it('keeps to its bound, and writes over the log of a run before', async () => {
    for (const maxLines of [5, 2]) {
      const log = new EventLog(file, maxLines);
      const stop = failing.on(log.take);
      for (let call = 0; call < 10; call += 1) await fail();
      log.close();
      stop();
      expect((await readTimeline(file)).events).toBe(maxLines);
    }
  });
});
