/** `pnpm --filter @resil/pg soak`: the failover drill, a few times with either kind of replication, as a table. */
import { expect, it } from 'vitest';
import { type DrillResult, drill } from '../failover-drill.js';

const ROUNDS = Number(process.env.RESIL_ROUNDS ?? 3);
const WRITERS = 16;
const COLUMNS = [
  'acknowledged',
  'detection',
  'promotion',
  'recovery',
  'lost',
  'duplicates',
  'unknown',
  'failed',
] as const satisfies readonly (keyof DrillResult)[];

it('primary killed under load, standby promoted', async () => {
  const rows: string[][] = [['replication', ...COLUMNS]];
  for (const synchronous of [true, false]) {
    for (let round = 0; round < ROUNDS; round += 1) {
      const result = await drill({ synchronous, writers: WRITERS, writes: 1_000 });
      const cells = COLUMNS.map((column) => String(Math.round(result[column])));
      rows.push([synchronous ? 'synchronous' : 'asynchronous', ...cells]);
      expect(result.duplicates).toBe(0);
      if (synchronous) expect(result.lost).toBe(0);
    }
  }
  const widths =
    rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
  const lines = rows.map((row) => row.map((cell, at) => cell.padStart(widths[at] ?? 0)).join('  '));
  process.stdout.write(
    `\n${WRITERS} writers; primary SIGKILLed, standby promoted; times in ms since the last write of the old primary\n\n${lines.join('\n')}\n\n`,
  );
});
