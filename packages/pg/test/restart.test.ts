import { observe } from '@resil/core';
import { recordEvents } from '@resil/testing';
import { describe, expect, it } from 'vitest';
import { resilient, transaction } from '../src/index.js';
import { TestServer, until } from './server.js';

describe('a server that goes away and comes back', () => {
  const bench = new TestServer();

  const load = async (
    restart: () => Promise<void>,
  ): Promise<{ reads: number; failed: unknown[]; unhandled: unknown[]; closed: boolean }> => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => {
      unhandled.push(error);
    };
    process.on('unhandledRejection', note);
    process.on('uncaughtExceptionMonitor', note);
    const recorder = recordEvents(observe);
    const pool = resilient(bench.pool({ max: 8 }), {
      attemptTimeout: 5_000,
      retry: {
        maxAttempts: 100,
        baseDelay: 20,
        maxDelay: 100,
        budget: false,
        shouldRetry: () => true,
      },
      circuitBreaker: { failureThreshold: 5, resetTimeout: 50 },
    });
    const failed: unknown[] = [];
    let reads = 0;
    let go = true;
    const readers = Array.from({ length: 6 }, async () => {
      while (go) {
        await pool.query({ text: 'select pg_sleep(0.002)', resilience: { idempotent: true } }).then(
          () => {
            reads += 1;
          },
          async (error) => {
            failed.push(error);
            await new Promise((done) => setTimeout(done, 10));
          },
        );
      }
    });
    const holders = Array.from({ length: 2 }, async () => {
      while (go) {
        await transaction(pool, (client) => client.query('select pg_sleep(0.005)')).catch(
          () => new Promise((done) => setTimeout(done, 20)),
        );
      }
    });
    await until(() => reads > 50);
    await restart();
    const before = reads;
    await until(() => reads > before + 50);
    go = false;
    await Promise.all([...readers, ...holders]);
    recorder.stop();
    process.off('unhandledRejection', note);
    process.off('uncaughtExceptionMonitor', note);
    const opened = recorder.of('circuit.opened').length;
    const closed = recorder.of('circuit.closed').length;
    return { reads, failed, unhandled, closed: opened === 0 || closed > 0 };
  };

  const down = (stop: () => Promise<void>) => async (): Promise<void> => {
    await stop();
    await new Promise((done) => setTimeout(done, 200));
    await bench.server.start();
  };

  it.each([
    ['stop -m fast', () => bench.server.stop('fast')],
    ['stop -m immediate', () => bench.server.stop('immediate')],
    ['SIGKILL', () => bench.server.kill()],
  ])('answers every idempotent read through %s', async (_, stop) => {
    const { failed, unhandled, closed } = await load(down(stop));
    expect(failed).toEqual([]);
    expect(unhandled).toEqual([]);
    expect(closed).toBe(true);
  });

  it('answers every idempotent read through stop -m smart', async () => {
    const { failed, unhandled } = await load(async () => {
      const stopped = bench.server.stop('smart');
      // It waits until the last client has left.
      await bench.admin
        .query(
          'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = $1',
          ['client backend'],
        )
        .catch(() => {});
      await bench.server.stop('fast');
      await stopped;
      await bench.server.start();
    });
    expect(failed).toEqual([]);
    expect(unhandled).toEqual([]);
  });

  it('answers through a freeze', async () => {
    const { failed, unhandled } = await load(async () => {
      await bench.server.pause();
      await new Promise((done) => setTimeout(done, 300));
      bench.server.resume();
    });
    expect(failed).toEqual([]);
    expect(unhandled).toEqual([]);
  });
});
