/** The shop's client without the shop, for `resil lint`, `ops` and `assess` to look at. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ShopKafka, shopKafka } from './clients.js';

/** The shop's Kafka client and its outbox. */
export const shop: ShopKafka = shopKafka(
  { brokers: ['kafka.example:9092'] },
  join(tmpdir(), 'outbox.log'),
);
