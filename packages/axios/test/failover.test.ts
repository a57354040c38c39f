import { failover, hedge, observe, pipeline } from '@resil/core';
import { startHttpProcess } from '@resil/testbed';
import { recordEvents } from '@resil/testing';
import axios from 'axios';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type BaseURLFailover, resilient } from '../src/index.js';
import { closedPort, failureOf, quick, service } from './service.js';

/** Tried in this order. */
const inOrder = (...origins: string[]): BaseURLFailover => ({
  endpoints: origins.map((target, priority) => ({ target, priority })),
});

describe('several base URLs', () => {
  it('take a request on to the next where one is dead, a POST too, without an attempt', async () => {
    const dead = `http://127.0.0.1:${await closedPort()}`;
    const alive = await service();
    const api = resilient(axios.create(), {
      ...quick,
      retry: false,
      failover: inOrder(dead, alive.origin),
    });
    const recorder = recordEvents(observe);
    const { status, config } = await api.post('/orders', { id: 1 });
    recorder.stop();
    expect([status, config.baseURL]).toEqual([200, alive.origin]);
    expect(alive.requests.map(({ method, path, body }) => [method, path, String(body)])).toEqual([
      ['POST', '/orders', '{"id":1}'],
    ]);
    expect(recorder.of('endpoint.skipped')).toMatchObject([
      { endpoint: dead, errorType: 'ECONNREFUSED', key: 'failover' },
    ]);
  });

  it('repeat elsewhere what failed with a 500, and what was too slow', async () => {
    const failing = await service({ faults: { statusRatio: 1, status: 500 } });
    const slow = await service({ faults: { hangRatio: 1 } });
    const alive = await service();
    const api = resilient(axios.create(), {
      ...quick,
      attemptTimeout: 300,
      failover: inOrder(failing.origin, slow.origin, alive.origin),
    });
    expect((await api.get('/a')).config.baseURL).toBe(alive.origin);
    expect([failing, slow, alive].map((one) => one.counters().hits)).toEqual([1, 1, 1]);
  });

  it('do not repeat elsewhere what may have been done and does harm twice', async () => {
    const failing = await service({ faults: { statusRatio: 1, status: 500 } });
    const resetting = await service({ faults: { resetRatio: 1 } });
    const alive = await service();
    for (const first of [failing, resetting]) {
      const api = resilient(axios.create(), {
        ...quick,
        failover: inOrder(first.origin, alive.origin),
      });
      await failureOf(api.post('/orders', { id: 1 }));
      expect(first.counters().hits).toBe(1);
      const put = await api.put('/orders/1', { id: 1 });
      expect(put.config.baseURL).toBe(alive.origin);
    }
    expect(alive.requests.map(({ method }) => method)).toEqual(['PUT', 'PUT']);
  });

  it('leave a request that failed as its caller made it, to be sent anywhere again', async () => {
    const failing = await service({ faults: { statusRatio: 1, status: 401 } });
    const alive = await service();
    for (const defaults of [{}, { baseURL: 'http://127.0.0.1:1/ours' }]) {
      const api = resilient(axios.create(defaults), {
        ...quick,
        failover: {
          ...inOrder(failing.origin, alive.origin),
          rank: ({ target }) => Number(target !== first),
        },
      });
      let first = failing.origin;
      api.interceptors.response.use(undefined, (error) => {
        expect(error.config.baseURL).toBe(defaults.baseURL);
        first = alive.origin;
        return api.request(error.config);
      });
      const { config } = await api.get('/a');
      expect(config.baseURL).toBe(alive.origin);
    }
    expect([failing, alive].map((one) => one.counters().hits)).toEqual([2, 2]);
  });

  it('lose nothing idempotent when a server is killed under load', async () => {
    const victim = await startHttpProcess();
    const alive = await service();
    const api = resilient(axios.create(), {
      ...quick,
      attemptTimeout: 5_000,
      failover: { endpoints: [victim.origin, alive.origin] },
    });
    onTestFinished(() => victim.kill());
    let answered = 0;
    let killed: Promise<void> | undefined;
    const callers = Array.from({ length: 8 }, async () => {
      for (let call = 0; call < 25; call += 1) {
        expect((await api.get(`/${call}`)).status).toBe(200);
        answered += 1;
        if (answered === 50) killed = victim.kill();
      }
    });
    await Promise.all(callers);
    await killed;
    expect(answered).toBe(200);
  });

  it('eject the one that fails again and again', async () => {
    const failing = await service({ faults: { statusRatio: 1 } });
    const alive = await service();
    const api = resilient(axios.create(), {
      ...quick,
      failover: {
        ...inOrder(failing.origin, alive.origin),
        outlierDetection: { failureThreshold: 3 },
      },
    });
    for (let call = 0; call < 10; call += 1) expect((await api.get('/')).status).toBe(200);
    expect([failing.counters().hits, alive.counters().hits]).toEqual([3, 10]);
  });

  it('replace the base URL of the instance, and leave other destinations alone', async () => {
    const endpoint = await service();
    const other = await service();
    const api = resilient(axios.create({ baseURL: 'http://nowhere.invalid/v1' }), {
      ...quick,
      failover: inOrder(`${endpoint.origin}/v2`),
    });
    await api.get('/a');
    await api.get(`${other.origin}/b`);
    await api.get('/c', { baseURL: other.origin });
    expect(endpoint.requests.map(({ path }) => path)).toEqual(['/v2/a']);
    expect(other.requests.map(({ path }) => path)).toEqual(['/b', '/c']);
  });

  it('make the body anew for each server that a request goes to', async () => {
    const dead = `http://127.0.0.1:${await closedPort()}`;
    const alive = await service();
    const api = resilient(axios.create(), { ...quick, failover: inOrder(dead, alive.origin) });
    let made = 0;
    const body = (): Buffer => {
      made += 1;
      return Buffer.from(`body ${made}`);
    };
    await api.post('/', undefined, { resilience: { body } });
    expect(alive.requests.map((request) => String(request.body))).toEqual(['body 2']);
  });

  it.each([
    ['no list', {}, 'failover.endpoints must be a list of at least one endpoint'],
    ['a path', { endpoints: ['/v1'] }, 'resilient.failover.endpoints[0] must be an absolute'],
    ['an unknown option', { endpoints: ['http://a'], layer: 1 }, 'failover.layer is not an option'],
  ])('are refused with %s', (_, wrong, message) => {
    expect(() => resilient(axios.create(), { failover: wrong as never })).toThrow(message);
  });

  it('are those of a failover in a pipeline of your own, hedged too', async () => {
    const slow = await service({ faults: { hangRatio: 1 } });
    const alive = await service();
    const api = resilient(axios.create(), {
      pipeline: () =>
        pipeline(
          hedge({ delay: 20, budget: false }),
          failover({
            endpoints: [slow, alive].map(({ origin }, priority) => ({ target: origin, priority })),
          }),
        ),
    });
    const { config } = await api.get('/a');
    expect(config.baseURL).toBe(alive.origin);
    expect([slow, alive].map((one) => one.counters().hits)).toEqual([1, 1]);
  });

  it('are refused beside a pipeline that replaces the standard one', () => {
    expect(() =>
      resilient(axios.create(), {
        failover: { endpoints: ['http://a'] },
        pipeline: (() => undefined) as never,
      }),
    ).toThrow('resilient.failover must be left out where pipeline is given');
  });
});
