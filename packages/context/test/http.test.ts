import { pipeline, reportErrorsTo, retry } from '@resil/core';
import { VirtualClock } from '@resil/testing';
import { describe, expect, it, vi } from 'vitest';
import { currentContext, currentHeaders, runInContext } from '../src/index.js';
import { servers } from './servers.js';

const CONTEXT = { 'resil-deadline': '60000', 'resil-context': 'priority=5, idempotent, retried' };
const post = (headers: Record<string, string>) => ({
  method: 'POST',
  headers: { 'content-type': 'text/plain', ...headers },
  body: 'x'.repeat(200_000),
});
/** What is the same for each run. */
const shown = () => ({ ...currentContext(), clock: undefined, deadline: undefined });

describe.each(servers)('a server of %s', (_name, start) => {
  it.each([
    ['without a body', { headers: CONTEXT }],
    ['with a body', post(CONTEXT)],
  ])('runs the handler within what a request %s brought', async (_case, init) => {
    const clock = new VirtualClock({ now: 500 });
    const seen: unknown[] = [];
    const { url } = await start(
      async (body) => {
        seen.push(currentContext());
        await new Promise(setImmediate);
        return { ...shown(), left: currentContext()?.deadline, body: body.length };
      },
      { clock },
    );
    const answer = await fetch(url, init);
    expect(await answer.json()).toEqual({
      priority: 5,
      idempotent: true,
      retried: true,
      left: 60_500,
      body: 'body' in init ? 200_000 : 0,
    });
    expect(seen).toMatchObject([{ deadline: 60_500, clock }]);
  });

  it('keeps requests apart, and takes none of what the server was started in', async () => {
    const { url } = await runInContext({ priority: 99, retried: true }, () =>
      start(async () => {
        await new Promise(setImmediate);
        return shown();
      }),
    );
    const ask = async (headers: Record<string, string>) => (await fetch(url, { headers })).json();
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, (_, index) =>
        ask({ 'resil-context': `priority=${index + 1}` }),
      ),
      ask({}),
    ]);
    expect(answers).toEqual([
      ...Array.from({ length: 20 }, (_, index) => ({ priority: index + 1 })),
      {},
    ]);
  });

  it.each([
    ['without a body', { headers: { 'resil-deadline': '0' } }],
    ['with a body', post({ 'resil-deadline': '0' })],
  ])('answers 504 to a request %s that comes too late, and runs nothing', async (_case, init) => {
    const handle = vi.fn();
    const { url } = await start(handle);
    const answer = await fetch(url, init);
    expect(answer.status).toBe(504);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(await answer.json()).toEqual({
      type: 'about:blank',
      title: 'Gateway Timeout',
      status: 504,
      detail: 'the deadline of the request has passed; nothing was done',
      code: 'RESIL_DEADLINE_PASSED',
    });
    expect(handle).not.toHaveBeenCalled();
    // The server goes on.
    expect((await fetch(url)).status).toBe(200);
  });

  it('ignores headers that are malformed', async () => {
    const { url } = await start(() => ({ ...shown(), left: currentContext()?.deadline }));
    const headers = { 'resil-deadline': 'soon', 'resil-context': 'retried; priority' };
    expect(await (await fetch(url, { headers })).json()).toEqual({});
  });

  it('believes only those whom it is told to trust', async () => {
    const trust = (headers: Readonly<Record<string, unknown>>) => {
      if (headers.host === undefined) throw new Error('never');
      return headers['x-inside'] === 'yes';
    };
    const { url } = await start(shown, { trust });
    const inside = { ...CONTEXT, 'x-inside': 'yes' };
    expect(await (await fetch(url, { headers: inside })).json()).toMatchObject({ priority: 5 });
    const outside = { ...CONTEXT, 'resil-deadline': '0' };
    expect(await (await fetch(url, { headers: outside })).json()).toEqual({});
  });

  it('trusts nobody where the question fails', async () => {
    const report = vi.fn();
    const end = reportErrorsTo(report);
    const broken = new Error('broken');
    const trust = () => {
      throw broken;
    };
    const { url } = await start(shown, { trust });
    expect(await (await fetch(url, { headers: CONTEXT })).json()).toEqual({});
    expect(report).toHaveBeenCalledExactlyOnceWith(broken, 'trust');
    end();
  });

  it('gives a request no more than maxDuration', async () => {
    const clock = new VirtualClock();
    const left = () => currentContext()?.deadline;
    const { url } = await start(left, { clock, maxDuration: 2_000 });
    const ask = async (headers?: Record<string, string>) =>
      (await fetch(url, headers && { headers })).json();
    expect(await ask()).toBe(2_000);
    expect(await ask({ 'resil-deadline': '5000' })).toBe(2_000);
    expect(await ask({ 'resil-deadline': '1500' })).toBe(1_500);
  });

  it('leaves retrying to who called it, if that does', async () => {
    const operation = vi.fn(() => Promise.reject(new Error('down')));
    const calls = pipeline(retry({ maxAttempts: 3, baseDelay: 0 }));
    const { url } = await start(() => calls.execute(operation).catch(() => currentHeaders()));
    await fetch(url);
    expect(operation).toHaveBeenCalledTimes(3);
    const answer = await fetch(url, { headers: CONTEXT });
    expect(operation).toHaveBeenCalledTimes(4);
    expect(await answer.json()).toMatchObject({
      'resil-context': 'priority=5, idempotent, retried',
      'resil-deadline': expect.stringMatching(/^5\d{4}$/),
    });
  });

  it('refuses bad options', async () => {
    const bad = async (options: object) => start(() => null, options as never);
    await expect(bad({ maxDuration: 0 })).rejects.toThrow(
      /Context\.maxDuration must be a number of milliseconds above 0 or Infinity, but got 0/,
    );
    await expect(bad({ trust: true })).rejects.toThrow(/Context\.trust must be a function/);
    await expect(bad({ clock: {} })).rejects.toThrow(/Context\.clock must be a Clock/);
  });
});

describe('httpContext', () => {
  it('refuses what is not a handler', async () => {
    const { httpContext } = await import('../src/index.js');
    expect(() => httpContext(undefined as never)).toThrow(
      'httpContext: handler must be a function',
    );
  });
});
