import { pipeline, registered, timeout } from '@resil/core';
import { Pool } from 'pg';
import { expect, it } from 'vitest';
import { type PgOptions, resilient } from '../src/index.js';

const told = (hosts: readonly string[], options?: PgOptions) => {
  const pools = hosts.map((host) => new Pool({ host, database: 'shop', password: 'secret' }));
  const pool = resilient(pools, options);
  return { pool, dependency: registered().at(-1)?.describe().dependency };
};

it('tells what a pool stands before, without user and password', () => {
  expect(told(['db.example']).dependency).toEqual({
    client: 'pg',
    target: 'db.example:5432/shop',
    innerAttempts: 1,
  });
  expect(told(['a.example', 'b.example']).dependency).toMatchObject({
    target: 'a.example:5432/shop,b.example:5432/shop',
  });
});

it('lets what the user says go first, beside a pipeline of his own too', () => {
  const dependency = { critical: true, target: 'shop' };
  const whole = { client: 'pg', innerAttempts: 1, ...dependency };
  expect(told(['db.example'], { dependency }).dependency).toEqual(whole);
  const own = () => pipeline(timeout({ duration: 500 }));
  expect(told(['db.example'], { dependency, pipeline: own }).dependency).toEqual(whole);
});
