import { type AmbientContext, provideAmbient } from '@resil/core';
import axios, { type AxiosRequestConfig } from 'axios';
import { beforeEach, describe, expect, it } from 'vitest';
import { type ResilientOptions, resilient } from '../src/index.js';
import { failureOf, quick, service } from './service.js';

let ambient: AmbientContext | undefined;
beforeEach(() => {
  ambient = undefined;
  return provideAmbient({
    current: () => ambient,
    run: (_context, work) => work(),
    headers: ({ deadline, priority, idempotent, retried }) => ({
      'resil-context': JSON.stringify({
        limited: deadline !== Infinity,
        priority,
        idempotent,
        retried,
      }),
    }),
  });
});

/** What the server was told, by attempt. */
async function toldBy(request: AxiosRequestConfig, options: ResilientOptions = quick) {
  const http = await service();
  http.set({ statusRatio: 1 });
  const api = resilient(axios.create({ baseURL: http.origin }), options);
  await failureOf(api.request({ url: '/x', ...request }));
  return http.requests.map(({ headers }) => {
    const told = headers['resil-context'];
    return typeof told === 'string' ? JSON.parse(told) : told;
  });
}

describe('with an ambient context', () => {
  it('each attempt tells the server what it works for, and that it is repeated', async () => {
    ambient = { priority: 3, deadline: performance.now() + 60_000 };
    const told = { limited: true, priority: 3, idempotent: true, retried: true };
    expect(await toldBy({})).toEqual([told, told, told]);
  });

  it('a request that is not repeated does not say that it is', async () => {
    expect(await toldBy({ method: 'post' })).toEqual([{ limited: false, retried: false }]);
  });

  it('a key makes a request idempotent for its server alone', async () => {
    const told = { limited: false, retried: true };
    const headers = { 'Idempotency-Key': 'k' };
    expect(await toldBy({ method: 'post', headers })).toEqual([told, told, told]);
  });

  it('a request that somebody further out repeats is sent once', async () => {
    ambient = { retried: true };
    expect(await toldBy({})).toEqual([{ limited: false, idempotent: true, retried: true }]);
  });

  it('nothing is told to servers of others', async () => {
    expect(await toldBy({}, { ...quick, sendContext: false })).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
