/** The protected clients of the order service without their servers, for `resil lint`, `ops` and `assess` to look at. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clients, protectedClients } from './clients.js';

/** The clients; nothing is called, so that their servers need not be there. */
export const clients: Clients = protectedClients(
  {
    prices: 'http://prices.example',
    inventory: 'inventory.example:50051',
    database: { host: 'db.example', port: 5_432, user: 'orders', database: 'orders' },
    kafka: {
      brokers: ['kafka.example:9092'],
      topics: { orders: 'orders', shipments: 'shipments' },
    },
  },
  join(tmpdir(), 'outbox'),
);
