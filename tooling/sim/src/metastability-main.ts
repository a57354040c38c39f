/** `pnpm --filter @resil/sim metastability`: prints when a service recovers from ten seconds of outage. */
import { CAPACITY } from './metastability.js';
import { columns, published, simulateRow } from './metastability-table.js';

const SECONDS = 600;

const shown = (second: number | undefined): string =>
  second === undefined ? 'never' : `${second} s`;

console.log(
  `Capacity ${CAPACITY} calls per second, outage from 10 s to 20 s, attempt timeout 1 s.\n` +
    'When at least 99 % of the calls are answered again (published; never: not within 600 s):\n',
);
console.log(`| calls per second | ${columns.join(' | ')} | standard() |`);
console.log(`|${' --- |'.repeat(columns.length + 2)}`);
for (const deadline of [false, true]) {
  for (const [load, expected] of published) {
    const { recoveredAt } = await simulateRow(load, deadline, SECONDS);
    const cells = recoveredAt.map((second, at) =>
      deadline || at >= columns.length
        ? shown(second)
        : `${shown(second)} (${shown(expected[at])})`,
    );
    const label = deadline ? `${load}, server drops what is past its deadline` : `${load}`;
    console.log(`| ${label} | ${cells.join(' | ')} |`);
  }
}
