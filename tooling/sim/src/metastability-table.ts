/** The table of recoveries: what was published, and the scenarios that reproduce it. */
import { type Scenario, simulate } from './metastability.js';

/** Who calls, as the columns of the table name it. */
export const columns = [
  'no retry',
  'budget 0.05',
  'budget 0.1',
  'budget 0.2',
  'one retry, naive',
] as const;

const clients: readonly Scenario['client'][] = [
  'none',
  { budget: 0.05 },
  { budget: 0.1 },
  { budget: 0.2 },
  'naive',
];

/** The second at which goodput is whole again, by calls per second; `undefined` for never. */
export const published: ReadonlyMap<number, readonly (number | undefined)[]> = new Map([
  [140, [28, 29, 29, 31, 139]],
  [150, [29, 30, 31, 33, undefined]],
  [200, [38, 41, 45, 56, undefined]],
  [280, [147, 460, undefined, undefined, undefined]],
]);

/** A second by which goodput is whole again where the server drops what is past its deadline. */
export const PUBLISHED_WITH_DEADLINE = 21;

/** One row, as simulated. */
export interface Row {
  readonly load: number;
  readonly deadline: boolean;
  /** By column, and last the standard pipeline. */
  readonly recoveredAt: readonly (number | undefined)[];
}

/** Simulates a row; what has not recovered by `seconds` counts as never. */
export async function simulateRow(load: number, deadline: boolean, seconds: number): Promise<Row> {
  const recoveredAt: (number | undefined)[] = [];
  for (const client of [...clients, 'standard' as const]) {
    const recovery = await simulate({ load, client, deadline, seconds });
    recoveredAt.push(recovery.recoveredAt);
  }
  return { load, deadline, recoveredAt };
}
