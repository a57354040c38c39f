/** Compares what customers were told with what is in the database. */
import { orderId } from './place-order.js';
import type { Ledger, OrderOutcome } from './record.js';

/** Something that runs a query. */
interface Database {
  query<Row extends Record<string, unknown>>(text: string): Promise<Row[]>;
}

/** Looks up every order. */
export async function checkLedger(
  database: Database,
  outcomes: ReadonlyArray<OrderOutcome | undefined>,
): Promise<Ledger> {
  const rows = await database.query<{ id: string; count: number }>(
    'select id, count(*)::int as count from orders group by id',
  );
  return compare(new Map(rows.map(({ id, count }) => [id, count])), outcomes);
}

/** Compares the acknowledged orders with those in the database, by id and how often they are there. */
export function compare(
  written: ReadonlyMap<string, number>,
  outcomes: ReadonlyArray<OrderOutcome | undefined>,
): Ledger {
  const acknowledged = outcomes.filter((outcome) => outcome?.acknowledged === true);
  const ids = new Set(acknowledged.map((outcome) => orderId((outcome as OrderOutcome).index)));
  return {
    acknowledged: ids.size,
    lost: [...ids].filter((id) => !written.has(id)),
    doubled: [...written].filter(([, count]) => count > 1).map(([id]) => id),
    unacknowledged: [...written.keys()].filter((id) => !ids.has(id)).length,
    rewritten: acknowledged.filter((outcome) => outcome?.rewritten === true).length,
  };
}
