/**
 * What an adapter costs on loopback. Bare clients run twice, as two contenders that differ in nothing:
 * the difference between them (A/A) is what the machine and the method add by themselves.
 */
import { nanoseconds, type PartReport } from './report.js';
import { type Contender, concurrently, measure, survivalOf } from './rounds.js';

const MAX_SHARE = 0.05;

/** How an adapter's calls are made. */
export interface AdapterLoad {
  /** Calls at a time. Default: 16. */
  readonly inFlight?: number;
  /** Default: 201. */
  readonly rounds?: number;
  /**
   * CPU milliseconds that a contender has in a round; short, so that what else the machine does hits
   * all contenders of a round alike, and long enough for a few calls of each in flight. Default: 20.
   */
  readonly roundTime?: number;
}

/** The names of the contenders that the target compares. */
export interface AdapterContenders {
  readonly bare: Contender;
  readonly control: Contender;
  readonly wrapped: Contender;
  readonly others: readonly Contender[];
}

/** Measures an adapter's contenders. */
export async function adapterCost(
  host: string,
  { bare, control, wrapped, others }: AdapterContenders,
  { inFlight = 16, rounds = 201, roundTime = 20 }: AdapterLoad = {},
): Promise<PartReport> {
  const contenders = [bare, control, wrapped, ...others];
  const measured = await measure(contenders, {
    rounds,
    roundTime,
    loop: concurrently(inFlight),
  });
  const { wall } = measured;
  const noise = Math.abs(wall.ratio(control.name, bare.name) - 1);
  // Either of the two bare ones will do as the base; the mean of both is steadier.
  const base = (name: string): number =>
    (wall.ratio(name, bare.name) + wall.ratio(name, control.name)) / 2 - 1;
  const beyond = base(wrapped.name) - noise;
  const rows: string[][] = [];
  for (const contender of contenders) {
    const { name } = contender;
    const [low, high] = wall.spread(name);
    const survival = await survivalOf(contender, concurrently(inFlight));
    rows.push([
      name,
      `${(1e9 / wall.cost(name)).toFixed(0)}/s`,
      `${(1e9 / high).toFixed(0)} – ${(1e9 / low).toFixed(0)}/s`,
      percent(wall.ratio(name, bare.name) - 1),
      nanoseconds(measured.cost(name)),
      percent(measured.ratio(name, bare.name) - 1),
      `${(Math.max(0, survival) / 1_000).toFixed(1)} kB`,
    ]);
  }
  return {
    tables: [
      {
        title: `${host} on loopback, ${inFlight} calls in flight`,
        head: [
          'client',
          'throughput',
          'middle half',
          'time ÷ bare',
          'CPU per call',
          'CPU ÷ bare',
          'outlives a scavenge',
        ],
        rows,
      },
    ],
    targets: [
      {
        claim: `${host}: at most 5 % of throughput beyond the A/A control`,
        measured: `${percent(base(wrapped.name))}, A/A ±${(noise * 100).toFixed(1)} %`,
        reached: beyond <= MAX_SHARE,
      },
    ],
  };
}

function percent(share: number): string {
  return `${share < 0 ? '−' : '+'}${Math.abs(share * 100).toFixed(1)} %`;
}
