/** What the order service does for a customer; it doesn't know whether its clients are protected. */
import type { Clients, Price } from './clients.js';

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
}

/** Fetches the price and writes the order. Resolves when the order may be acknowledged. */
export async function placeOrder(clients: Clients, order: Order): Promise<Acknowledgement> {
  const { data } = await clients.prices.get<Price>(`/prices/${order.item}`, {
    resilience: { name: order.item },
  });
  if (data.stale !== true) clients.remember(order.item, data.price);
  const written = await clients.orders.query({
    text: WRITE_ORDER,
    values: [order.id, order.item, order.quantity, data.price],
    resilience: { idempotent: true },
  });
  return { fresh: data.stale !== true, rewritten: written.rowCount === 0 };
}

/** The id of the order with that number. */
export function orderId(index: number): string {
  return `order-${String(index).padStart(6, '0')}`;
}
