import { observe } from '@resil/core';
import axios from 'axios';
import { describe, expect, it } from 'vitest';
import { type ResilientOptions, resilient } from '../src/index.js';
import { failureOf, quick, service } from './service.js';

const retry = { maxAttempts: 2, baseDelay: 1, maxDelay: 2, jitter: 'none', budget: false } as const;

/** Delays that a failing call waited or would have waited, and why it stopped. */
async function story(
  headers: Record<string, string>,
  options: ResilientOptions,
  config: Parameters<typeof axios.get>[1] = {},
  status = 503,
): Promise<{ delays: number[]; reason: string | undefined; hits: number }> {
  const http = await service({ faults: { statusRatio: 1, status, headers } });
  const api = resilient(axios.create({ baseURL: http.origin }), { ...quick, ...options });
  const delays: number[] = [];
  let reason: string | undefined;
  const end = observe((event) => {
    if (event.type === 'retry.scheduled') delays.push(event.delay);
    if (event.type === 'retry.exhausted') reason = event.reason;
  });
  await failureOf(api.get('/x', config));
  end();
  return { delays, reason, hits: http.counters().hits };
}

describe('waiting', () => {
  it.each([429, 503])(
    'obeys Retry-After of a %i where it is longer than the own delay',
    async (status) => {
      const { delays, hits } = await story({ 'retry-after': '1' }, { retry }, {}, status);
      expect(delays).toEqual([1_000]);
      expect(hits).toBe(2);
    },
  );

  it('takes the own delay where Retry-After is shorter or malformed', async () => {
    for (const value of ['0', 'soon', '-5', '1.5']) {
      expect((await story({ 'retry-after': value }, { retry })).delays).toEqual([1]);
    }
  });

  it('obeys a date, by the Date of the answer', async () => {
    const { delays } = await story(
      { date: 'Mon, 05 Aug 2019 09:27:00 GMT', 'retry-after': 'Mon, 05 Aug 2019 09:27:01 GMT' },
      { retry },
    );
    expect(delays).toEqual([1_000]);
  });

  it('obeys the RateLimit field', async () => {
    expect((await story({ ratelimit: '"burst";r=0;t=1' }, { retry }, {}, 429)).delays).toEqual([
      1_000,
    ]);
  });

  it('gives up at once where the server asks for more than maxRetryAfter', async () => {
    const { delays, reason, hits } = await story({ 'retry-after': '120' }, { retry });
    expect({ delays, reason, hits }).toEqual({ delays: [], reason: 'retry-after', hits: 1 });
  });

  it('gives up at once where the wait would end after the deadline, whoever set it', async () => {
    const byTotal = await story({ 'retry-after': '20' }, { retry, totalTimeout: 5_000 });
    expect(byTotal).toEqual({ delays: [], reason: 'deadline', hits: 1 });
    const deadline = performance.now() + 5_000;
    const byCall = await story({ 'retry-after': '20' }, { retry }, { resilience: { deadline } });
    expect(byCall).toEqual({ delays: [], reason: 'deadline', hits: 1 });
  });

  it('gives the last answer, not an error of its own, when it gives up', async () => {
    const http = await service({ faults: { statusRatio: 1, retryAfter: '120' } });
    const api = resilient(axios.create({ baseURL: http.origin }), quick);
    const error = await failureOf(api.get('/x'));
    expect(error).toMatchObject({ code: 'ERR_BAD_RESPONSE', response: { status: 503 } });
  });

  it('ends a body that trickles, which the timeout of axios does not', async () => {
    const http = await service();
    const bare = axios.create({ baseURL: http.origin, timeout: 800 });
    expect((await bare.get('/fault/trickle')).data).toHaveLength(20);
    const api = resilient(bare, { totalTimeout: 500 });
    const error = await failureOf(api.get('/fault/trickle'));
    expect(error.code).toBe('RESIL_TIMEOUT');
    expect(error.response).toBeUndefined();
  });

  it('gives a request that asks for more time the time it asks for, through the same circuit', async () => {
    const http = await service({ faults: { latency: 150 } });
    const circuitBreaker = { failureThreshold: 1, resetTimeout: 60_000 } as const;
    const api = resilient(axios.create({ baseURL: http.origin }), {
      ...quick,
      attemptTimeout: undefined,
      retry: false,
      circuitBreaker,
      totalTimeout: 5_000,
    });
    await api.get('/x', { timeout: 4_500 });
    http.set({ statusRatio: 1 });
    await failureOf(api.get('/x', { timeout: 4_500 }));
    expect((await failureOf(api.get('/x'))).code).toBe('RESIL_CIRCUIT_OPEN');
  });

  it("applies axios' own timeout to each attempt, with axios' own error", async () => {
    const http = await service();
    const api = resilient(axios.create({ baseURL: http.origin, timeout: 200 }), quick);
    const error = await failureOf(api.get('/fault/hang'));
    expect(error).toMatchObject({ code: 'ECONNABORTED', message: 'timeout of 200ms exceeded' });
    expect(http.counters().hits).toBe(3);
  });

  it('tells the server how long it has, where a deadlineHeader is named', async () => {
    const http = await service();
    const api = resilient(axios.create({ baseURL: http.origin }), {
      ...quick,
      totalTimeout: 5_000,
      deadlineHeader: 'x-remaining-ms',
    });
    await api.get('/x');
    const sent = http.requests[0]?.headers['x-remaining-ms'];
    expect(sent).toMatch(/^\d+$/);
    expect(Number(sent)).toBeGreaterThan(1_000);
    expect(Number(sent)).toBeLessThanOrEqual(5_000);
  });
});
