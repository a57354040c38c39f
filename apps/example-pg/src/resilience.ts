/** The shop's pool without the shop, for `resil lint`, `ops` and `assess` to look at. */
import type pg from 'pg';
import { shopPool } from './clients.js';

/** The shop's database. */
export const shop: pg.Pool = shopPool({ host: 'db.example', database: 'shop' });
