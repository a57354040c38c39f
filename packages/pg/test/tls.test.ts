import { selfSigned } from '@resil/testbed';
import { describe, expect, it } from 'vitest';
import { resilient } from '../src/index.js';
import { OFF, rejection, TestServer, until } from './server.js';

describe('cancelling over TLS', () => {
  const identity = selfSigned('localhost');
  const bench = new TestServer({ tls: identity });

  it.each(['postgres', 'direct'] as const)(
    'asks for TLS as the connection did (%s)',
    async (sslnegotiation) => {
      const ssl = { ca: identity.cert, servername: 'localhost' };
      // Answers to plain cancel requests are counted too: the proxy sees what is sent.
      const pool = resilient(bench.proxied({ max: 1, ssl, sslnegotiation }), OFF);
      expect(
        (await pool.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')).rows,
      ).toEqual([{ ssl: true }]);
      const deadline = performance.now() + 150;
      const query = rejection(
        pool.query({ text: 'select pg_sleep(60)', resilience: { deadline } }),
      );
      expect((await query).code).toBe('RESIL_TIMEOUT');
      await until(() => pool.idleCount === 1);
      expect(await bench.active('pg_sleep')).toBe(0);
      expect((await pool.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
      expect(pool.totalCount).toBe(1);
    },
  );
});
