import { describe, expect, it } from 'vitest';
import { rateHint, serverDelay } from './retry-after.js';

const now = Date.parse('Mon, 05 Aug 2019 09:27:00 GMT');
const wallClock = (): number => now;

describe('serverDelay', () => {
  it.each<[string, Record<string, string>, number | undefined]>([
    ['seconds', { 'retry-after': '120' }, 120_000],
    ['zero seconds', { 'retry-after': '0' }, 0],
    [
      'a date, over RateLimit',
      { 'retry-after': 'Mon, 05 Aug 2019 09:27:05 GMT', ratelimit: '"default";r=0;t=5' },
      5_000,
    ],
    [
      'seconds over RateLimit, though quota remains',
      { 'retry-after': '20', ratelimit: '"dynamic";r=15;t=40' },
      20_000,
    ],
    ['an exhausted quota', { ratelimit: '"dynamic";r=0;t=20' }, 20_000],
    ['a quota that is left', { ratelimit: '"default";r=50;t=30' }, 0],
    ['a date that has passed', { 'retry-after': 'Fri, 31 Dec 1999 23:59:59 GMT' }, 0],
    ['a negative number', { 'retry-after': '-5' }, undefined],
    ['a word', { 'retry-after': 'soon' }, undefined],
    ['a fraction', { 'retry-after': '1.5' }, undefined],
    ['nothing', { 'retry-after': '' }, undefined],
    ['a malformed RateLimit', { ratelimit: 'default;r=x' }, undefined],
    ['a RateLimit without r', { ratelimit: '"default";t=5' }, undefined],
    ['a RateLimit with a fraction', { ratelimit: '"default";r=0;t=1.5' }, undefined],
    ['one malformed member of two', { ratelimit: '"a";r=0;t=5, b;r=0' }, undefined],
    [
      'several quotas, by the longest exhausted one',
      { ratelimit: '"a";r=0;t=48, "b";r=10;t=5' },
      48_000,
    ],
    ['a partition key beside the numbers', { ratelimit: '"a";r=0;t=7;pk=:dHJpYWwxMjE=:' }, 7_000],
    ['a name with a comma', { ratelimit: '"a,b;r=9";r=0;t=3' }, 3_000],
    ['an exhausted quota that does not say until when', { ratelimit: '"a";r=0' }, undefined],
    ['the dictionary of draft 07', { ratelimit: 'limit=100, remaining=0, reset=20' }, 20_000],
    [
      'the three headers of draft 06',
      { 'ratelimit-remaining': '0', 'ratelimit-reset': '9' },
      9_000,
    ],
    [
      'malformed Retry-After beside RateLimit',
      { 'retry-after': 'soon', ratelimit: '"a";r=0;t=4' },
      4_000,
    ],
    ['an RFC 850 date', { 'retry-after': 'Monday, 05-Aug-19 09:27:08 GMT' }, 8_000],
    ['an asctime date, which is GMT', { 'retry-after': 'Mon Aug  5 09:27:09 2019' }, 9_000],
    ['a date of another zone', { 'retry-after': 'Mon, 05 Aug 2019 09:27:05 PST' }, undefined],
    ['an ISO date', { 'retry-after': '2019-08-05T09:27:05Z' }, undefined],
    ['headers in any case', { 'Retry-After': '3' }, 3_000],
    ['the X-RateLimit headers', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '9' }, 9_000],
    [
      'an X-RateLimit reset that is a date',
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(now / 1000 + 30) },
      30_000,
    ],
    ['nothing at all', {}, undefined],
  ])('reads %s', (_, headers, expected) => {
    expect(serverDelay(headers, wallClock)).toBe(expected);
  });

  it("measures a date against the answer's own Date, so that a wrong clock does no harm", () => {
    const headers = {
      date: 'Mon, 05 Aug 2019 10:00:00 GMT',
      'retry-after': 'Mon, 05 Aug 2019 10:00:07 GMT',
    };
    expect(serverDelay(headers, wallClock)).toBe(7_000);
  });

  it('reads a Headers object', () => {
    expect(serverDelay(new Headers({ 'retry-after': '2' }), wallClock)).toBe(2_000);
    expect(serverDelay(undefined, wallClock)).toBeUndefined();
  });
});

describe('rateHint', () => {
  it.each<[string, Record<string, string>, object]>([
    ['seconds', { 'retry-after': '120' }, { retryAfter: 120_000 }],
    [
      'seconds beside a quota that is left',
      { 'retry-after': '20', ratelimit: '"dynamic";r=15;t=40' },
      { retryAfter: 20_000, quotas: [{ remaining: 15, resetDelay: 40_000 }] },
    ],
    [
      'a quota',
      { ratelimit: '"default";r=50;t=30' },
      { quotas: [{ remaining: 50, resetDelay: 30_000 }] },
    ],
    [
      'a quota and its policy',
      { ratelimit: '"somepolicy";r=10000;t=10', 'ratelimit-policy': '"somepolicy";q=10000;w=1000' },
      {
        quotas: [{ remaining: 10_000, resetDelay: 10_000, maxCalls: 10_000, interval: 1_000_000 }],
      },
    ],
    [
      'two quotas, each with the policy of its name',
      {
        ratelimit: '"day";r=7;t=48, "burst";r=0',
        'ratelimit-policy': '"burst";q=100;w=60,"day";q=1000;w=86400;pk=:dHJpYWwxMjE=:',
      },
      {
        quotas: [
          { remaining: 7, resetDelay: 48_000, maxCalls: 1_000, interval: 86_400_000 },
          { remaining: 0, maxCalls: 100, interval: 60_000 },
        ],
      },
    ],
    [
      'no policy in other units',
      { ratelimit: '"a";r=5;t=1', 'ratelimit-policy': '"a";q=65535;w=10;qu="content-bytes"' },
      { quotas: [{ remaining: 5, resetDelay: 1_000 }] },
    ],
    [
      'a quota whose policy is malformed',
      { ratelimit: '"a";r=5;t=1', 'ratelimit-policy': 'a;q=ten' },
      { quotas: [{ remaining: 5, resetDelay: 1_000 }] },
    ],
    [
      'the dictionary of draft 07',
      { ratelimit: 'limit=100, remaining=3, reset=20' },
      { quotas: [{ remaining: 3, resetDelay: 20_000, maxCalls: 100 }] },
    ],
    [
      'the X-RateLimit headers',
      { 'x-ratelimit-limit': '60', 'x-ratelimit-remaining': '6', 'x-ratelimit-reset': '9' },
      { quotas: [{ remaining: 6, resetDelay: 9_000, maxCalls: 60 }] },
    ],
    ['a malformed field for nothing', { ratelimit: 'default;r=x' }, {}],
    ['nothing at all', {}, {}],
  ])('reads %s', (_, headers, expected) => {
    expect(rateHint(headers, wallClock)).toEqual(expected);
  });
});
