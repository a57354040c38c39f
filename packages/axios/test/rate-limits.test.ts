/** A rate limiter in an axios pipeline: what the real server says slows it down. */
import { pipeline, type RateLimiter, rateLimiter } from '@resil/core';
import axios from 'axios';
import { describe, expect, it } from 'vitest';
import { classify, rateLimitHint, resilient } from '../src/index.js';
import { failureOf, service } from './service.js';

interface Bench {
  readonly limiter: RateLimiter;
  readonly api: ReturnType<typeof axios.create>;
}

/** An instance whose calls go through a rate limiter, before a server that answers with `headers`. */
async function benchOf(headers: Record<string, string>, status: number): Promise<Bench> {
  const { origin } = await service({
    handlers: {
      '/limited': (_request, response) => {
        response.writeHead(status, headers).end();
      },
    },
  });
  const limiter = rateLimiter({ maxCalls: 1_000, maxQueueSize: 0, hint: rateLimitHint });
  const options = { pipeline: () => pipeline({ classify }, limiter) };
  return { limiter, api: resilient(axios.create({ baseURL: origin }), options) };
}

describe('a rate limiter', () => {
  it.each([
    ['Retry-After of a 429', { 'retry-after': '20' }, 429],
    ['Retry-After of a 503', { 'retry-after': '20' }, 503],
    ['an exhausted RateLimit of a 429', { ratelimit: '"dynamic";r=0;t=20' }, 429],
  ])('lets nobody go for the time of %s', async (_, headers, status) => {
    const { limiter, api } = await benchOf(headers, status);
    // A POST must not be repeated, but its answer holds for the others too.
    await failureOf(api.post('/limited'));
    expect(limiter.delay).toBeGreaterThan(10_000);
    expect(limiter.delay).toBeLessThanOrEqual(20_000);
    expect((await failureOf(api.get('/limited'))).code).toBe('RESIL_RATE_LIMITED');
  });

  it('goes at the pace of the RateLimit and RateLimit-Policy fields of any answer', async () => {
    const { limiter, api } = await benchOf(
      { ratelimit: '"a";r=2;t=600', 'ratelimit-policy': '"a";q=10;w=3600' },
      200,
    );
    expect(limiter.available).toBe(1);
    await api.get('/limited');
    // Six minutes by the policy, no longer than maxRetryAfter.
    expect(limiter.delay).toBeGreaterThan(10_000);
    expect(limiter.delay).toBeLessThanOrEqual(30_000);
  });
});
