import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  bulkhead,
  CircuitBreaker,
  circuitBreaker,
  failover,
  keyed,
  type Pipeline,
  pipeline,
  reportErrorsTo,
  retry,
  retryBudget,
} from '@resil/core';
import { seededRandom, VirtualClock } from '@resil/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type DashboardOptions,
  type DashboardSnapshot,
  dashboard,
  type PipelineHistory,
  type RecentCalls,
} from '../src/index.js';
import { mounts } from './mounts.js';
import { Viewer } from './viewer.js';

const TOKEN = 'a token of control'.replaceAll(' ', '-');

/** A dashboard on a server of its own. */
async function serve(options: DashboardOptions = {}) {
  const clock = new VirtualClock();
  const board = dashboard({ clock, ...options });
  onTestFinished(() => board.close());
  const { url } = await board.listen(0);
  return { board, clock, url };
}

/** The sentence of a refusal. */
const detailOf = async (answer: Response) =>
  ((await answer.json()) as { readonly detail: string }).detail;

const fail = () => Promise.reject(new Error('down'));
/** Calls, one after the other. */
async function run(to: Pipeline, count: number, operation: () => Promise<unknown>) {
  for (let call = 0; call < count; call++) await to.execute(operation).catch(() => {});
}
const rowOf = ({ pipelines }: Pick<DashboardSnapshot, 'pipelines'>, name: string) =>
  // Those of earlier tests may still be there.
  pipelines.findLast((row) => row.name === name);

describe.each(mounts)('a dashboard mounted on %s', (_name, mount) => {
  it('serves its page and what it is made of, and nothing from elsewhere', async () => {
    const { url } = await mount({ title: '<orders> & "co"' });
    const page = await fetch(url);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self'/,
    );
    const html = await page.text();
    expect(html).toContain('<title>&#60;orders&#62; &#38; &#34;co&#34;</title>');
    const parts = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, part = '']) => part);
    expect(parts.sort()).toEqual(['app.js', 'icon.svg', 'style.css']);
    for (const part of parts) {
      const answer = await fetch(new URL(part, url));
      expect(answer.status).toBe(200);
      expect((await answer.text()).length).toBeGreaterThan(10);
    }
  });

  it('leads to the page from its path without the slash, and leaves other paths alone', async () => {
    const { url } = await mount();
    const answer = await fetch(url.slice(0, -1), { redirect: 'manual' });
    expect([answer.status, answer.headers.get('location')]).toEqual([308, 'inside/']);
    expect((await fetch(url.slice(0, -1))).url).toBe(url);
    expect(await (await fetch(new URL('/own', url))).text()).toBe('own');
  });

  it('streams what it shows, and takes orders', async () => {
    const breaker = new CircuitBreaker({ name: 'circuit of a mount' });
    const mounted = pipeline('mounted', breaker);
    const { url } = await mount({ control: { token: TOKEN }, clock: new VirtualClock() });
    const viewer = await Viewer.open(url);
    const row = rowOf(await viewer.snapshot(), 'mounted');
    expect(row).toMatchObject({ state: 'closed', breakers: [{ name: 'circuit of a mount' }] });
    const answer = await fetch(new URL('control', url), {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        pipeline: row?.id,
        breaker: 0,
        name: breaker.name,
        action: 'isolate',
      }),
    });
    expect(await answer.json()).toEqual({
      result: 'done',
      detail: "circuit 'circuit of a mount' is isolated",
    });
    expect(breaker.state).toBe('isolated');
    const { pipelines } = await viewer.sample();
    expect(pipelines.find(({ id }) => id === row?.id)).toMatchObject({ state: 'isolated' });
    expect(mounted.name).toBe('mounted');
  });
});

describe('the stream', () => {
  it('begins with everything, and tells each interval what changed', async () => {
    const { clock, url } = await serve();
    const changing = pipeline(
      'changing',
      retry({ maxAttempts: 2, baseDelay: 0, clock, random: seededRandom(1), budget: false }),
      circuitBreaker({ failureThreshold: 4, resetTimeout: 5_000, clock }),
      bulkhead({ maxConcurrentCalls: 5 }),
    );
    const idle = pipeline('idle', circuitBreaker({ clock }));
    const viewer = await Viewer.open(url);
    const snapshot = await viewer.snapshot();
    expect(snapshot).toMatchObject({ protocol: 1, interval: 1_000, control: false });
    expect(rowOf(snapshot, 'changing')).toMatchObject({
      state: 'closed',
      rates: { succeeded: 0, failed: 0 },
      limits: [{ type: 'bulkhead', running: 0, limit: 5, waiting: 0 }],
    });
    await run(changing, 3, async () => 1);
    const failing = Promise.allSettled([changing.execute(fail), changing.execute(fail)]);
    await clock.advance(1_000);
    await failing;
    const { pipelines, events } = await viewer.sample();
    expect(pipelines.map(({ name }) => name)).toContain('changing');
    expect(pipelines.map(({ name }) => name)).not.toContain(idle.name);
    expect(rowOf({ pipelines }, 'changing')).toMatchObject({
      state: 'open',
      rates: { succeeded: 3, failed: 2, retried: 2 },
      latency: { p50: expect.any(Number) },
      breakers: [{ state: 'open', openings: 1, nextProbeAt: expect.any(Number) }],
    });
    const own = events.filter(({ pipeline: id }) => id === rowOf(snapshot, 'changing')?.id);
    expect(own).toMatchObject([
      { type: 'circuit.opened', count: 1, details: { reason: 'failures', openings: 1 } },
      { type: 'retry.exhausted', count: 2, details: { reason: 'attempts', errorType: 'Error' } },
      { type: 'call.failed', count: 2, details: { errorType: 'Error' } },
    ]);
    expect(JSON.stringify(own)).not.toContain('down');
  });

  it('is one for all who look, heard only while somebody does', async () => {
    const { clock, url } = await serve();
    const heard = pipeline('heard', circuitBreaker({ failureThreshold: 1, clock }));
    const started = async () => {
      let observed: boolean | undefined;
      await heard.execute((call) => {
        observed = (call as unknown as { observed: boolean }).observed;
      });
      return observed;
    };
    await clock.advance(5_000);
    expect(await started()).toBe(false);
    const viewers = [await Viewer.open(url), await Viewer.open(url)];
    for (const viewer of viewers) await viewer.snapshot();
    expect(await started()).toBe(true);
    // What is sent to one that came is sent to those before it, too.
    expect(rowOf((await viewers[0]?.sample()) ?? { pipelines: [] }, 'heard')).toBeUndefined();
    await clock.advance(1_000);
    const [first, second] = await Promise.all(viewers.map((viewer) => viewer.sample()));
    expect(first).toEqual(second);
    for (const viewer of viewers) viewer.close();
    await untilAlone(clock);
    await clock.advance(20_000);
    expect(await started()).toBe(false);
  });

  it('notices changes of circuits while nobody looks', async () => {
    const { clock, url } = await serve();
    const unseen = pipeline('unseen', circuitBreaker({ failureThreshold: 1, clock }));
    await clock.advance(5_000);
    await run(unseen, 1, fail);
    await clock.advance(5_000);
    const { events, pipelines } = await (await Viewer.open(url)).snapshot();
    const { id } = rowOf({ pipelines }, 'unseen') ?? {};
    expect(events.filter((event) => event.pipeline === id)).toMatchObject([
      { type: 'circuit.opened', at: 5_000, details: { openings: 1 } },
    ]);
  });

  it('keeps how a pipeline fared, as far as there is room', async () => {
    const { clock, url } = await serve({ historySize: 3 });
    const long = pipeline('long', circuitBreaker({ failureThreshold: 1, clock }));
    const viewer = await Viewer.open(url);
    const id = rowOf(await viewer.snapshot(), 'long')?.id ?? '';
    await run(long, 1, fail);
    for (let second = 0; second < 4; second++) {
      await clock.advance(1_000);
      await run(long, 2, async () => 1);
    }
    const ask = async (asked: string) =>
      fetch(new URL(`history?pipeline=${encodeURIComponent(asked)}`, url));
    const history = (await (await ask(id)).json()) as PipelineHistory;
    expect(history.at).toEqual([2_000, 3_000, 4_000]);
    expect(history.series).toMatchObject({
      rejected: [2, 2, 2],
      state: [2, 2, 2],
      limit: [null, null, null],
    });
    expect((await ask('0:99999')).status).toBe(404);
  });

  it('shows keys in trouble, then the most active of those used last', async () => {
    const { clock, url } = await serve({ maxKeys: 2 });
    const tenants = keyed(
      (key) => pipeline({ name: 'tenants', key }, circuitBreaker({ failureThreshold: 1, clock })),
      { clock },
    );
    const viewer = await Viewer.open(url);
    const id = rowOf(await viewer.snapshot(), 'tenants')?.id;
    for (const [key, count] of [
      ['busy', 9],
      ['idle', 1],
      ['broken', 3],
    ] as const) {
      const operation = key === 'broken' ? fail : async () => 1;
      await run(tenants.for(key), count, operation);
    }
    await clock.advance(1_000);
    const row = (await viewer.sample()).pipelines.find(
      ({ kind, name }) => kind === 'keyed' && name === 'tenants',
    );
    expect(row?.id).toBe(id ?? row?.id);
    expect(row).toMatchObject({
      kind: 'keyed',
      state: 'open',
      rates: { succeeded: 10, failed: 1, rejected: 2 },
      keys: { known: 3, shown: [{ key: 'broken', state: 'open' }, { key: 'busy' }] },
    });
  });

  it('tells what was lately, interval by interval, however rarely it was looked at', async () => {
    const { clock, url } = await serve();
    const seen = pipeline('seen lately', circuitBreaker({ failureThreshold: 100, clock }));
    const silent = pipeline('silent');
    await clock.advance(5_000);
    // One sample of five seconds while nobody looks, then one each second.
    await run(seen, 10, async () => 1);
    await clock.advance(5_000);
    const { pipelines } = await (await Viewer.open(url)).snapshot();
    const idOf = (name: string) => rowOf({ pipelines }, name)?.id ?? '';
    await run(seen, 3, async () => 1);
    await run(seen, 2, fail);
    await clock.advance(1_400);
    const answer = await fetch(new URL('recent', url));
    const recent = (await answer.json()) as RecentCalls;
    expect(recent[idOf('seen lately')]?.succeeded.slice(-8)).toEqual([0, 0, 2, 2, 2, 2, 2, 3]);
    expect(recent[idOf('seen lately')]?.others.slice(-3)).toEqual([0, 0, 2]);
    expect(recent[idOf('seen lately')]?.succeeded).toHaveLength(60);
    expect(recent[idOf(silent.name ?? '')]).toBeUndefined();
  });

  it('is not disturbed by somebody who comes in between', async () => {
    const { clock, url } = await serve();
    const steady = pipeline('steady');
    const shards = keyed((key) => pipeline({ name: 'steady shards', key }), { clock });
    const work = async (count: number) => {
      for (let second = 0; second < count; second++) {
        await run(steady, 4, async () => 1);
        await run(shards.for('one'), 6, async () => 1);
        await clock.advance(1_000);
      }
    };
    await work(10);
    const rates = (pipelines: DashboardSnapshot['pipelines']) =>
      ['steady', 'steady shards'].map((name) => rowOf({ pipelines }, name)?.rates.succeeded);
    const first = await Viewer.open(url);
    expect(rates((await first.snapshot()).pipelines)).toEqual([4, 6]);
    await work(1);
    await first.sample();
    await Viewer.open(url);
    await first.sample();
    const second = await Viewer.open(url);
    expect(rates((await second.snapshot()).pipelines)).toEqual([4, 6]);
  });

  it('forgets pipelines that nobody holds, and tells that they are gone', async () => {
    const { clock, url } = await serve();
    let fleeting: Pipeline | undefined = pipeline('fleeting');
    const viewer = await Viewer.open(url);
    const id = rowOf(await viewer.snapshot(), 'fleeting')?.id;
    expect(id).toBeDefined();
    expect(await fleeting.execute(() => 1)).toBe(1);
    fleeting = undefined;
    let removed: readonly string[] = [];
    for (let turn = 0; turn < 20 && !removed.includes(id ?? ''); turn++) {
      await collectGarbage();
      await clock.advance(1_000);
      ({ removed } = await viewer.sample());
    }
    expect(removed).toContain(id);
  });

  it('shows budgets, and a pipeline inside another with its layers', async () => {
    const { clock, url } = await serve();
    const budget = retryBudget({ name: 'shared', ratio: 0.1, minPerSecond: 1, clock });
    const inner = pipeline(
      'inner',
      retry({ budget, clock }),
      circuitBreaker({ name: 'deep', clock }),
    );
    const outer = pipeline('outer', inner, retry({ budget, clock }));
    const viewer = await Viewer.open(url);
    const snapshot = await viewer.snapshot();
    expect(rowOf(snapshot, 'inner')).toBeUndefined();
    expect(rowOf(snapshot, 'outer')).toMatchObject({
      breakers: [{ index: 0, name: 'deep' }],
      budgets: [{ type: 'retryBudget', name: 'shared', left: expect.any(Number), refused: 0 }],
    });
    expect(outer.name).toBe('outer');
  });

  it('keeps a silent connection alive', async () => {
    const { clock, url } = await serve({ interval: 60_000 });
    const viewer = await Viewer.open(url);
    await viewer.snapshot();
    await clock.advance(45_000);
    await once(viewer.response, 'data');
    expect(viewer.comments.length).toBeGreaterThan(0);
  });

  it('has so many viewers and no more', async () => {
    const { url } = await serve({ maxViewers: 1 });
    await (await Viewer.open(url)).snapshot();
    const answer = await fetch(new URL('events', url));
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('10');
    expect(await detailOf(answer)).toBe(
      'there are as many viewers as there may be (maxViewers is 1); close one',
    );
  });

  it('cuts off a viewer that does not read', async () => {
    const clock = new VirtualClock();
    const board = dashboard({ clock });
    onTestFinished(() => board.close());
    const answers: ServerResponse[] = [];
    const server = createServer((request, response) => {
      answers.push(response);
      board(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const many = Array.from({ length: 500 }, (_, index) => pipeline(`read by nobody ${index}`));
    const reader = await Viewer.open(`http://127.0.0.1:${port}/`);
    await reader.snapshot();
    const lazy = await Viewer.open(`http://127.0.0.1:${port}/`);
    lazy.response.pause();
    // The network between holds some megabytes of its own.
    for (let turn = 0; turn < 300 && answers[1]?.destroyed !== true; turn++) {
      await Promise.all(many.map((one) => one.execute(() => turn)));
      await clock.advance(1_000);
      await reader.sample();
    }
    expect(answers.map(({ destroyed }) => destroyed)).toEqual([false, true]);
  });

  it('ends with the server that it is mounted on', async () => {
    const clock = new VirtualClock();
    const board = dashboard({ clock });
    onTestFinished(() => board.close());
    const server = createServer(board);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const viewer = await Viewer.open(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await viewer.snapshot();
    const closed = new Promise((resolve) => server.close(resolve));
    await clock.advance(500);
    expect(await viewer.next()).toEqual({ event: 'end', data: { reason: 'closed' } });
    expect(await viewer.next()).toBeUndefined();
    await closed;
  });

  it('ends when the dashboard is closed, which leaves no timer and no listener', async () => {
    const { board, clock, url } = await serve();
    const viewer = await Viewer.open(url);
    await viewer.snapshot();
    await board.close();
    expect(await viewer.next()).toEqual({ event: 'end', data: { reason: 'closed' } });
    expect(clock.pending).toBe(0);
    await expect(fetch(url)).rejects.toThrow();
  });
});

describe('listen', () => {
  it('says that a port is in use, and what to do', async () => {
    const { board, url } = await serve();
    const port = Number(new URL(url).port);
    await expect(board.listen(port)).rejects.toMatchObject({
      name: 'DashboardListenError',
      code: 'EADDRINUSE',
      message: `the dashboard can't listen on 127.0.0.1:${port}: the port is in use; take another one, or 0 for one that is free`,
    });
    await expect(board.listen(70_000)).rejects.toThrow(
      'dashboard.listen: port must be from 0 to 65535, but got 70000',
    );
  });

  it('answers nobody who was led to loopback by a name', async () => {
    const { url } = await serve();
    const response = await new Promise<number | undefined>((resolve, reject) => {
      import('node:http').then(({ get }) =>
        get(url, { headers: { host: 'rebound.example' } }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        }).once('error', reject),
      );
    });
    expect(response).toBe(421);
    expect((await fetch(url.replace('127.0.0.1', 'localhost'))).status).toBe(200);
  });
});

describe('what is not allowed', () => {
  it('is looked at by those alone whom authorize lets in', async () => {
    const errors: unknown[] = [];
    onTestFinished(reportErrorsTo((error) => errors.push(error)));
    const { url } = await serve({
      authorize: ({ headers }) => {
        if (headers['x-who'] === 'nobody') throw new Error('who is that?');
        return headers['x-who'] === 'ops';
      },
    });
    const statusFor = async (who: string, path = '') =>
      (await fetch(new URL(path, url), { headers: { 'x-who': who } })).status;
    expect(await statusFor('ops')).toBe(200);
    expect(await statusFor('dev')).toBe(403);
    expect(await statusFor('nobody')).toBe(403);
    expect(errors).toMatchObject([{ message: 'who is that?' }]);
    expect(await statusFor('dev', 'events')).toBe(403);
    expect(await statusFor('dev', 'snapshot')).toBe(403);
  });

  it.each([
    ['GET', 'nothing', 404, 'there is no such part of the dashboard'],
    ['POST', '', 405, 'only GET is allowed here'],
    ['GET', 'control', 405, 'only POST is allowed here'],
    ['DELETE', 'events', 405, 'only POST is allowed here'],
    ['GET', '__proto__', 404, 'there is no such part of the dashboard'],
  ])('%s %s is answered %s', async (method, path, status, detail) => {
    const { url } = await serve();
    const answer = await fetch(new URL(path, url), { method });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    if (method !== 'DELETE') expect(await detailOf(answer)).toBe(detail);
  });

  it('refuses bad options, and shows no token', () => {
    const bad = (options: object) => () => dashboard(options);
    expect(bad({ interval: 5 })).toThrow(
      'dashboard.interval must be a number of milliseconds from 100 to 3600000, but got 5',
    );
    expect(bad({ path: 'here' })).toThrow("dashboard.path must be a path that begins with '/'");
    expect(bad({ colour: 'red' })).toThrow('dashboard.colour is not an option');
    expect(bad({ control: { token: 'too-short' } })).toThrow(
      "dashboard.control.token must be 16 to 200 visible ASCII characters, but got '*********'",
    );
    expect(bad({ control: {} })).toThrow('dashboard.control.token must be');
    expect(bad({ reports: { token: TOKEN, maxProcesses: 0 } })).toThrow(
      'dashboard.reports.maxProcesses must be a whole number of at least 1, but got 0',
    );
  });
});

describe('control', () => {
  const order = (url: string, headers: Record<string, string>, body: unknown) =>
    fetch(new URL('control', url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const right = { authorization: `Bearer ${TOKEN}` };

  async function withCircuit(options: DashboardOptions) {
    const served = await serve(options);
    const breaker = new CircuitBreaker({ name: 'switched', clock: served.clock });
    const shown = pipeline('with a circuit', breaker);
    const snapshot: DashboardSnapshot = await (await Viewer.open(served.url)).snapshot();
    const { id } = rowOf(snapshot, shown.name ?? '') ?? {};
    const request = { pipeline: id, breaker: 0, name: 'switched', action: 'isolate' };
    return { ...served, breaker, shown, request };
  }

  it('is off unless it was asked for', async () => {
    const { url, breaker, request } = await withCircuit({});
    const answer = await order(url, right, request);
    expect(answer.status).toBe(403);
    expect(await detailOf(answer)).toBe(
      'nothing can be switched from this dashboard: it was made without control',
    );
    expect(breaker.state).toBe('closed');
  });

  it('isolates and resets with the right token', async () => {
    const { url, breaker, request } = await withCircuit({ control: { token: TOKEN } });
    expect((await order(url, right, request)).status).toBe(200);
    expect(breaker.state).toBe('isolated');
    const answer = await order(url, right, { ...request, action: 'reset' });
    expect(await answer.json()).toEqual({ result: 'done', detail: "circuit 'switched' is reset" });
    expect(breaker.state).toBe('closed');
  });

  it('refuses a wrong token with a sentence, and after some of them the right one too', async () => {
    const { url, breaker, clock, request } = await withCircuit({ control: { token: TOKEN } });
    for (const authorization of ['Bearer wrong', TOKEN, '', 'Basic YTpi', `Bearer ${TOKEN}x`]) {
      const answer = await order(url, { authorization }, request);
      expect(answer.status).toBe(403);
      expect(await detailOf(answer)).toBe('the token is wrong; nothing was done');
    }
    const answer = await order(url, right, request);
    expect(answer.status).toBe(429);
    expect(await detailOf(answer)).toBe('there were too many wrong tokens; try again in 60 s');
    expect(breaker.state).toBe('closed');
    await clock.advance(60_000);
    expect((await order(url, right, request)).status).toBe(200);
  });

  it.each([
    ['of another origin', { origin: 'http://elsewhere.example' }],
    ['of no origin', { origin: 'null' }],
    ['of another site', { 'sec-fetch-site': 'cross-site' }],
    ['of another port', { 'sec-fetch-site': 'same-site' }],
  ])('refuses a page %s', async (_case, headers) => {
    const { url, breaker, request } = await withCircuit({ control: { token: TOKEN } });
    const answer = await order(url, { ...right, ...headers }, request);
    expect(answer.status).toBe(403);
    expect(await detailOf(answer)).toBe('a page of another origin may switch nothing here');
    expect(breaker.state).toBe('closed');
    for (const own of [{ origin: new URL(url).origin }, { 'sec-fetch-site': 'same-origin' }])
      expect((await order(url, { ...right, ...own }, request)).status).toBe(200);
  });

  it.each([
    ['a circuit that is not there', { breaker: 1 }, 404],
    ['another name', { name: 'another' }, 404],
    ['a pipeline that is not there', { pipeline: '0:99999' }, 404],
    ['another process', { pipeline: 'p1:1' }, 404],
    ['another action', { action: 'destroy' }, 400],
    ['no circuit', { breaker: -1 }, 400],
  ])('refuses %s', async (_case, change, status) => {
    const { url, breaker, request } = await withCircuit({ control: { token: TOKEN } });
    const answer = await order(url, right, { ...request, ...change });
    expect(answer.status).toBe(status);
    expect(breaker.state).toBe('closed');
  });

  it('refuses what is no JSON, or too much', async () => {
    const { url, request } = await withCircuit({ control: { token: TOKEN } });
    expect((await order(url, right, 'isolate it!')).status).toBe(400);
    expect((await order(url, right, ' '.repeat(5_000))).status).toBe(413);
    const text = { ...right, 'content-type': 'text/plain' };
    expect((await order(url, text, request)).status).toBe(415);
  });

  it('switches the circuit of an endpoint, and one that brings a fallback along', async () => {
    const { clock, url } = await serve({ control: { token: TOKEN } });
    const outer = new CircuitBreaker({ name: 'outer circuit', clock, fallbackFn: () => 0 });
    const endpoints: CircuitBreaker[] = [];
    const shown = pipeline(
      'with endpoints',
      outer,
      failover({
        clock,
        endpoints: ['north', 'south'],
        layers: ({ name }) => {
          endpoints.push(new CircuitBreaker({ name, clock }));
          return endpoints.slice(-1);
        },
      }),
    );
    const row = rowOf(await (await Viewer.open(url)).snapshot(), shown.name ?? '');
    expect(row?.breakers.map(({ name }) => name)).toEqual(['outer circuit', 'north', 'south']);
    for (const { index, name } of row?.breakers ?? []) {
      const request = { pipeline: row?.id, breaker: index, name, action: 'isolate' };
      expect((await order(url, right, request)).status).toBe(200);
    }
    expect([outer, ...endpoints].map(({ state }) => state)).toEqual(Array(3).fill('isolated'));
  });

  it('switches the circuit of a key, and makes no key that is gone', async () => {
    const { clock, url } = await serve({ control: { token: TOKEN } });
    const shards = keyed(
      (key) => pipeline({ name: 'shards', key }, circuitBreaker({ name: key, clock })),
      { clock, maxKeys: 1 },
    );
    const circuit = () => shards.for('shard 1').layers[0] as CircuitBreaker;
    circuit();
    const { pipelines } = await (await Viewer.open(url)).snapshot();
    const row = pipelines.find((found) => found.keys?.shown[0]?.key === 'shard 1');
    const [key] = row?.keys?.shown ?? [];
    const request = { pipeline: key?.id, breaker: 0, name: 'shard 1', action: 'isolate' };
    expect((await order(url, right, request)).status).toBe(200);
    expect(circuit().state).toBe('isolated');
    shards.for('shard 2');
    expect((await order(url, right, request)).status).toBe(404);
    expect(shards.describe().counters).toMatchObject({ created: 2 });
  });
});

async function collectGarbage(): Promise<void> {
  const { setFlagsFromString } = await import('node:v8');
  const { runInNewContext } = await import('node:vm');
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  await new Promise(setImmediate);
}

/** The server notices a little later that a viewer has left: just the next sample is then scheduled. */
async function untilAlone(clock: VirtualClock): Promise<void> {
  while (clock.pending > 1) await new Promise(setImmediate);
}
