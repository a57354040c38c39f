/** Compares what customers were told with what the servers have written down. */
import { type Order, orderId } from './place-order.js';
import type { Book, Ledger, OrderOutcome } from './record.js';
import type { PlannedOrder } from './scenario.js';

/** Everything that the servers have, warm-up included; an order more than once where it is there more than once. */
export interface Written {
  readonly orders: readonly Order[];
  readonly reservations: readonly Order[];
  readonly events:
    | { readonly orders: readonly Order[]; readonly shipments: readonly Order[] }
    | undefined;
}

/** Draws up the ledger of a run. `kept` is what the outbox still holds. */
export function ledgerOf(
  plan: readonly PlannedOrder[],
  outcomes: ReadonlyArray<OrderOutcome | undefined>,
  written: Written,
  kept: number,
): Ledger {
  const ordered = new Map(
    plan.map(({ index, item, quantity }) => {
      const id = orderId(index);
      return [id, { id, item, quantity }];
    }),
  );
  const told = outcomes.filter((outcome) => outcome?.acknowledged === true);
  const acknowledged = new Set(told.map((outcome) => orderId((outcome as OrderOutcome).index)));
  const book = (entries: readonly Order[]): Book => bookOf(entries, acknowledged, ordered);
  const { orders, reservations, events } = written;
  return {
    acknowledged: acknowledged.size,
    orders: book(orders),
    reservations: book(reservations),
    events: events && { orders: book(events.orders), shipments: book(events.shipments) },
    halfDone: events === undefined ? 0 : halfDone(orders, events, ordered),
    rewritten: told.filter((outcome) => outcome?.rewritten === true).length,
    kept,
  };
}

/** Whether a book has every acknowledged order as it was ordered. */
export function isWhole({ lost, wrong }: Book): boolean {
  return lost.length === 0 && wrong.length === 0;
}

function bookOf(
  entries: readonly Order[],
  acknowledged: ReadonlySet<string>,
  ordered: ReadonlyMap<string, Order>,
): Book {
  const counts = new Map<string, number>();
  const wrong = new Set<string>();
  for (const { id, item, quantity } of entries) {
    const order = ordered.get(id);
    // Of the warm-up.
    if (order === undefined) continue;
    counts.set(id, (counts.get(id) ?? 0) + 1);
    if (order.item !== item || order.quantity !== quantity) wrong.add(id);
  }
  return {
    lost: [...acknowledged].filter((id) => !counts.has(id)),
    doubled: [...counts].filter(([, count]) => count > 1).map(([id]) => id),
    wrong: [...wrong],
    unacknowledged: [...counts.keys()].filter((id) => !acknowledged.has(id)).length,
  };
}

function halfDone(
  orders: readonly Order[],
  events: NonNullable<Written['events']>,
  ordered: ReadonlyMap<string, Order>,
): number {
  const billed = new Set(events.orders.map(({ id }) => id));
  const shipped = new Set(events.shipments.map(({ id }) => id));
  return orders.filter(({ id }) => ordered.has(id) && !(billed.has(id) && shipped.has(id))).length;
}
