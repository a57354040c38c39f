/** What the order service does for a customer; it doesn't know whether its clients are protected. */
import { type Clients, limits, type Price } from './clients.js';
import { reserve } from './inventory.js';

/** The table of orders. Its key is what makes writing an order twice harmless. */
export const ORDERS_TABLE = `create table orders (
  id text primary key,
  item text not null,
  quantity integer not null,
  price integer not null,
  written timestamptz not null default clock_timestamp()
)`;

const WRITE_ORDER =
  'insert into orders (id, item, quantity, price) values ($1, $2, $3, $4) on conflict (id) do nothing';

/** An order as the customer gives it. */
export interface Order {
  readonly id: string;
  readonly item: string;
  readonly quantity: number;
}

/** How an acknowledged order came about. */
export interface Acknowledgement {
  /** Whether its price was asked for just now, not remembered. */
  readonly fresh: boolean;
  /** Whether it was in the database already: an earlier attempt wrote it, and its answer was lost. */
  readonly rewritten: boolean;
  /** Whether its events went into the outbox, to be sent later. */
  readonly kept: boolean;
}

/** Fetches the price, reserves the stock, writes the order and sends its events. Resolves when the order may be acknowledged. */
export async function placeOrder(clients: Clients, order: Order): Promise<Acknowledgement> {
  const deadline = performance.now() + limits.order;
  const { id, item, quantity } = order;
  const { data } = await clients.prices.get<Price>(`/prices/${item}`, {
    resilience: { name: item, deadline },
  });
  if (data.stale !== true) clients.remember(item, data.price);
  await reserve(clients.inventory, { order: id, item, quantity }, { resilience: { deadline } });
  const written = await clients.orders.query({
    text: WRITE_ORDER,
    values: [id, item, quantity, data.price],
    resilience: { idempotent: true, deadline },
  });
  const kept = await announce(clients, order, data.price);
  return { fresh: data.stale !== true, rewritten: written.rowCount === 0, kept };
}

/** Tells billing and the warehouse. Gives whether that is still to come. */
async function announce({ events }: Clients, order: Order, price: number): Promise<boolean> {
  if (events === undefined) return false;
  const { producer, topics } = events;
  const { id, item, quantity } = order;
  const told = await producer.sendBatch({
    topicMessages: [
      { topic: topics.orders, messages: [{ key: id, value: JSON.stringify({ ...order, price }) }] },
      {
        topic: topics.shipments,
        messages: [{ key: item, value: JSON.stringify({ id, item, quantity }) }],
      },
    ],
  });
  // Of what an outbox keeps Kafka has told nothing yet.
  return told.length === 0;
}

/** The id of the order with that number. */
export function orderId(index: number): string {
  return `order-${String(index).padStart(6, '0')}`;
}
