/** The table of a measurement: a row for each contender. */
import { nanoseconds, type Table, times } from './report.js';
import { allocationOf, type Contender, type Loop, type Measurement } from './rounds.js';

/** Cost, spread, ratio to `base` and allocation of each contender. */
export async function costTable(
  title: string,
  contenders: readonly Contender[],
  measured: Measurement,
  base: string,
  loop?: Loop,
): Promise<Table> {
  const rows: string[][] = [];
  for (const contender of contenders) {
    const { name } = contender;
    const [low, high] = measured.spread(name);
    rows.push([
      name,
      nanoseconds(measured.cost(name)),
      `${nanoseconds(low)} – ${nanoseconds(high)}`,
      times(measured.ratio(name, base)),
      `${Math.max(0, await allocationOf(contender, loop)).toFixed(0)} B`,
    ]);
  }
  return { title, head: ['call', 'CPU', 'middle half', `÷ ${base}`, 'allocated'], rows };
}
