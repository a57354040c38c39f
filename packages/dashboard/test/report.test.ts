import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CircuitBreaker, circuitBreaker, pipeline, reportErrorsTo } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import * as fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type DashboardOptions,
  type DashboardSnapshot,
  dashboard,
  type ProcessReport,
  type Reporter,
  type ReportOptions,
  report,
} from '../src/index.js';
import { MalformedError, readReport } from '../src/read-report.js';
import { Viewer } from './viewer.js';

const TOKEN = 'a-token-of-reports';
const CONTROL = 'a-token-of-control';

/** A dashboard that takes reports, and processes that report to it, all on one clock. */
async function central(options: DashboardOptions = {}) {
  const clock = new VirtualClock();
  const board = dashboard({
    clock,
    control: { token: CONTROL },
    reports: { token: TOKEN, goneTimeout: 5_000, dropTimeout: 60_000 },
    ...options,
  });
  onTestFinished(() => board.close());
  const { url } = await board.listen(0);
  const errors: unknown[] = [];
  onTestFinished(reportErrorsTo((error) => errors.push(error)));
  const join = (more: Partial<ReportOptions> = {}): Reporter => {
    const reporter = report({ to: url, token: TOKEN, name: 'orders 1', clock, ...more });
    onTestFinished(() => reporter.stop());
    return reporter;
  };
  const snapshot = async () =>
    (await (await fetch(new URL('snapshot', url))).json()) as DashboardSnapshot;
  /** Lets time pass until what is shown is as wanted; a report takes its time on a real connection. */
  const until = async (wanted: (shown: DashboardSnapshot) => boolean) => {
    for (let turn = 0; turn < 500; turn++) {
      const shown = await snapshot();
      if (wanted(shown)) return shown;
      await clock.advance(200);
    }
    throw new Error(`never came: ${JSON.stringify((await snapshot()).processes)}`);
  };
  return { clock, url, errors, join, snapshot, until };
}

const peerOf = ({ processes }: DashboardSnapshot, name = 'orders 1') =>
  processes.find((process) => process.name === name);

describe('report', () => {
  it('shows the pipelines of another process, and what happens there', async () => {
    const { clock, url, errors, join, until } = await central();
    const reported = pipeline('reported', circuitBreaker({ failureThreshold: 2, clock }));
    join();
    const { pipelines } = await until((shown) => peerOf(shown) !== undefined);
    const row = pipelines.find(({ process, name }) => process !== '0' && name === 'reported');
    expect(row).toMatchObject({ state: 'closed', process: 'p1' });
    // As soon as somebody looks, the process is told, and hears events.
    await Viewer.open(url);
    const observed = async () => {
      let heard = false;
      await reported.execute((call) => {
        heard = (call as unknown as { observed: boolean }).observed;
      });
      return heard;
    };
    await until(() => true);
    for (let turn = 0; turn < 50 && !(await observed()); turn++) await clock.advance(1_000);
    for (let call = 0; call < 2; call++)
      await reported.execute(() => Promise.reject(new Error('down'))).catch(() => {});
    const opened = await until(({ events }) =>
      events.some((event) => event.pipeline === row?.id && event.type === 'circuit.opened'),
    );
    expect(opened.pipelines.find(({ id }) => id === row?.id)).toMatchObject({ state: 'open' });
    expect(errors).toEqual([]);
  });

  it('says that it ends', async () => {
    const { join, until, snapshot, errors } = await central();
    const reporter = join();
    await until((shown) => peerOf(shown)?.state === 'live');
    await reporter.stop();
    expect(peerOf(await snapshot())?.state).toBe('gone');
    await reporter.stop();
    expect(errors).toEqual([]);
  });

  it('takes orders only if it was told to', async () => {
    const { clock, url, join, until } = await central();
    const breaker = new CircuitBreaker({ name: 'ordered', clock });
    const ordered = pipeline('takes orders', breaker);
    join({ name: 'deaf' });
    join({ name: 'obedient', control: true });
    const { processes, pipelines } = await until(
      (shown) => peerOf(shown, 'deaf') !== undefined && peerOf(shown, 'obedient') !== undefined,
    );
    const order = async (name: string, action: string) => {
      const process = processes.find((found) => found.name === name)?.id;
      const id = pipelines.findLast(
        (row) => row.process === process && row.name === ordered.name,
      )?.id;
      return fetch(new URL('control', url), {
        method: 'POST',
        headers: { authorization: `Bearer ${CONTROL}`, 'content-type': 'application/json' },
        body: JSON.stringify({ pipeline: id, breaker: 0, name: 'ordered', action }),
      });
    };
    const refused = await order('deaf', 'isolate');
    expect(refused.status).toBe(409);
    expect(await refused.json()).toMatchObject({
      detail: "'deaf' takes no orders: it reports without control",
    });
    expect(await (await order('obedient', 'isolate')).json()).toEqual({
      result: 'sent',
      detail: "'obedient' is told to isolate circuit 'ordered' when it reports next",
    });
    expect(breaker.state).toBe('closed');
    await until(() => breaker.state === 'isolated');
    await order('obedient', 'reset');
    await until(() => breaker.state === 'closed');
  });

  it('tells once that it is refused, and tries rarely', async () => {
    const { clock, errors, join, until } = await central();
    join({ token: 'another-token-altogether' });
    await until(() => errors.length > 0);
    await clock.advance(59_000);
    expect(errors).toMatchObject([
      {
        name: 'RefusedReportError',
        status: 403,
        message: 'the dashboard refused the report (403): the token is wrong; nothing was done',
      },
    ]);
    expect(JSON.stringify(errors)).not.toContain('altogether');
  });

  it('goes on when a dashboard comes back', async () => {
    const clock = new VirtualClock();
    const errors: unknown[] = [];
    onTestFinished(reportErrorsTo((error) => errors.push(error)));
    const reserved = createServer();
    await new Promise<void>((resolve) => reserved.listen(0, '127.0.0.1', resolve));
    const { port } = reserved.address() as AddressInfo;
    await new Promise((resolve) => reserved.close(resolve));
    const reporter = report({ to: `http://127.0.0.1:${port}`, token: TOKEN, name: 'early', clock });
    onTestFinished(() => reporter.stop());
    for (let turn = 0; turn < 1_000 && errors.length === 0; turn++) {
      await clock.advance(100);
      await new Promise(setImmediate);
    }
    expect(errors).toMatchObject([{ code: 'ECONNREFUSED' }]);
    const board = dashboard({ clock, reports: { token: TOKEN } });
    onTestFinished(() => board.close());
    const { url } = await board.listen(port);
    const names = async () => {
      const answer = await fetch(new URL('snapshot', url));
      return ((await answer.json()) as DashboardSnapshot).processes.map(({ name }) => name);
    };
    for (let turn = 0; turn < 500 && !(await names()).includes('early'); turn++)
      await clock.advance(1_000);
    expect(await names()).toContain('early');
    expect(errors).toHaveLength(1);
  });

  it('refuses bad options, and shows no token', () => {
    const bad = (change: object) => () =>
      report({ to: 'http://127.0.0.1:1', token: TOKEN, name: 'bad', ...change });
    expect(bad({ to: 'file:///etc/passwd' })).toThrow(
      "report.to must be an http or https URL, but got 'file:///etc/passwd'",
    );
    expect(bad({ token: 'secret' })).toThrow("but got '******'");
    expect(bad({ name: '' })).toThrow('report.name must be a string that is not empty');
    expect(bad({ maxKeys: 500 })).toThrow('report.maxKeys must be a whole number from 1 to 200');
  });
});

describe('a dashboard that takes reports', () => {
  const rates = { succeeded: 1, failed: 0, rejected: 0, aborted: 0, retried: 0 };
  const row = (id: string): ProcessReport['pipelines'][number] => ({
    id,
    kind: 'pipeline',
    name: 'remote',
    key: null,
    target: null,
    state: null,
    inFlight: 0,
    waiting: 0,
    rates,
    latency: null,
    breakers: [],
    limits: [],
    budgets: [],
    keys: null,
  });
  const told = (change: Partial<ProcessReport> = {}): ProcessReport => ({
    protocol: 1,
    instance: 'one',
    name: 'by hand',
    pid: 1,
    interval: 1_000,
    control: false,
    ending: false,
    hidden: 0,
    pipelines: [row('1')],
    events: [],
    ...change,
  });
  const send = (url: string, body: unknown, token = TOKEN) =>
    fetch(new URL('report', url), {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });

  it('shows one that fell silent as gone, and drops it later', async () => {
    const { clock, url, snapshot } = await central();
    const viewer = await Viewer.open(url);
    await viewer.snapshot();
    expect((await send(url, told())).status).toBe(200);
    expect(peerOf(await snapshot(), 'by hand')).toMatchObject({ state: 'live', pid: 1 });
    await clock.advance(5_000);
    expect(peerOf(await snapshot(), 'by hand')?.state).toBe('live');
    await clock.advance(1_000);
    const gone = await snapshot();
    expect(peerOf(gone, 'by hand')).toMatchObject({ state: 'gone', seenAt: 0 });
    expect(gone.pipelines.filter(({ process }) => process === 'p1')).toHaveLength(1);
    await clock.advance(60_000);
    const dropped = await snapshot();
    expect(peerOf(dropped, 'by hand')).toBeUndefined();
    expect(dropped.pipelines.filter(({ process }) => process === 'p1')).toEqual([]);
    // The same as a viewer was told.
    const samples = await Promise.all(Array.from({ length: 66 }, () => viewer.sample()));
    expect(samples.flatMap(({ removed }) => removed)).toContain('p1:1');
  });

  it('shows so many processes and no more', async () => {
    const { clock, url } = await central({
      reports: { token: TOKEN, maxProcesses: 1, goneTimeout: 1_000, dropTimeout: 1_000 },
    });
    expect((await send(url, told())).status).toBe(200);
    expect((await send(url, told({ instance: 'two' }))).status).toBe(503);
    expect((await send(url, told())).status).toBe(200);
    await clock.advance(10_000);
    await clock.advance(10_000);
    expect((await send(url, told({ instance: 'two' }))).status).toBe(200);
  });

  it('takes them with the token alone, and only if it was asked for', async () => {
    const { url } = await central();
    expect((await send(url, told(), CONTROL)).status).toBe(403);
    const other = dashboard();
    onTestFinished(() => other.close());
    const { url: elsewhere } = await other.listen(0);
    const answer = await send(elsewhere, told());
    expect(await answer.json()).toMatchObject({
      status: 403,
      detail: 'this dashboard takes no reports: it was made without reports',
    });
  });

  it.each([
    ['no JSON', '{', "'body' must be JSON"],
    ['another protocol', { ...told(), protocol: 2 }, "'protocol' must be 1"],
    ['no object', [], "'report' must be an object"],
    [
      'a name that is too long',
      told({ name: 'x'.repeat(201) }),
      "'name' must be a text of at most",
    ],
    ['a bad row', { ...told(), pipelines: [{}] }, "'pipelines[0].kind' must be"],
    [
      'a bad rate',
      told({ pipelines: [{ ...row('1'), rates: { ...rates, failed: '1' as never } }] }),
      "'pipelines[0].rates.failed' must be a number",
    ],
    [
      'a bad state',
      told({ pipelines: [{ ...row('1'), state: 'ajar' as never }] }),
      "'pipelines[0].state' must be one of 'closed', 'half-open', 'open', 'isolated'",
    ],
    [
      'too many rows',
      told({ pipelines: Array.from({ length: 1_001 }, (_, index) => row(String(index))) }),
      "'pipelines' must be a list of at most 1000",
    ],
  ])('refuses %s', async (_case, body, detail) => {
    const { url, snapshot } = await central();
    const answer = await send(url, body);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ detail: expect.stringContaining(detail) });
    expect((await snapshot()).processes).toHaveLength(1);
  });

  it('refuses more than it can hold', async () => {
    const { url } = await central();
    const answer = await send(url, ' '.repeat(2_000_001)).catch((error: Error) => error);
    // The connection may be gone before the client has sent all of it.
    if (answer instanceof Response) expect(answer.status).toBe(413);
  });

  it('reads whatever comes without any other error, and gives back what is of the protocol', () => {
    const paths = ['name', 'pid', 'interval', 'pipelines', 'events', 'instance', 'hidden'] as const;
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
        const body = JSON.stringify({ ...told(), [path]: value });
        try {
          const read = readReport(body);
          expect(JSON.stringify(readReport(JSON.stringify(read)))).toBe(JSON.stringify(read));
        } catch (error) {
          if (!(error instanceof MalformedError)) throw error;
        }
      }),
    );
    expect(readReport(JSON.stringify(told()))).toEqual(told());
  });
});
