// Prints how many attempts reach the last of three services for each call of the first.

import { callThrough } from './chain.js';
import { rows } from './rows.js';

const perCall = async (row: (typeof rows)[number], context: boolean): Promise<number> =>
  (await callThrough(row.calls, { client: row.client, context })).c / row.calls;

console.log('Attempts at the last of three services, which is down, for each call of the first:\n');
console.log(
  `${''.padEnd(33)}${'calls'.padStart(6)}${'without'.padStart(10)}${'with context'.padStart(15)}`,
);
for (const row of rows) {
  const without = `${(await perCall(row, false)).toFixed(2)}×`;
  const within = `${(await perCall(row, true)).toFixed(2)}×`;
  console.log(
    `${row.name.padEnd(33)}${String(row.calls).padStart(6)}${without.padStart(10)}${within.padStart(15)}`,
  );
}
