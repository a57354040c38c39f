/** What `@resil/pg` adds to a query on loopback. */
import { resilient } from '@resil/pg';
import { startPostgres } from '@resil/testbed';
import pg from 'pg';
import { adapterCost } from '../adapter-cost.js';
import type { Part } from '../part.js';
import type { Contender } from '../rounds.js';

export const pgAdapter: Part = async (progress) => {
  progress('starts PostgreSQL');
  const server = await startPostgres({ onProgress: progress });
  const pools: pg.Pool[] = [];
  const pool = (): pg.Pool => {
    const made = new pg.Pool({ ...server.connection, max: 16 });
    pools.push(made);
    return made;
  };
  const contender = (name: string, target: pg.Pool): Contender => ({
    name,
    call: () => target.query('SELECT $1::int AS price', [7]),
  });
  try {
    progress('bare, bare again, @resil/pg');
    return await adapterCost('pg', {
      bare: contender('pg, bare', pool()),
      control: contender('pg, bare again (A/A)', pool()),
      wrapped: contender('@resil/pg', resilient(pool())),
      others: [],
    });
  } finally {
    for (const made of pools) await made.end();
    await server.close();
  }
};
