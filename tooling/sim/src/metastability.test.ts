import { describe, expect, it } from 'vitest';
import { type Scenario, simulate } from './metastability.js';
import { PUBLISHED_WITH_DEADLINE, published } from './metastability-table.js';

const PATIENCE = 120_000;

/** The second of recovery, watched for as long as needed to see that it comes, or long enough to see that it does not. */
async function recoveredAt(load: number, client: Scenario['client'], deadline = false) {
  const seconds = 520;
  return (await simulate({ load, client, deadline, seconds })).recoveredAt;
}

describe('a service after an outage', () => {
  it.each([140, 150, 200, 280])(
    'with %i calls per second recovers when the table says, within 3 s',
    async (load) => {
      const expected = published.get(load) ?? [];
      const clients = [
        'none',
        { budget: 0.05 },
        { budget: 0.1 },
        { budget: 0.2 },
        'naive',
      ] as const;
      for (const [at, client] of clients.entries()) {
        const second = expected[at];
        // What never recovers needs no ten minutes to show: the queue is longer each second.
        const seconds = second === undefined ? 120 : second + 30;
        const seen = await simulate({ load, client, deadline: false, seconds });
        if (second === undefined) expect(seen.recoveredAt).toBeUndefined();
        else expect(Math.abs((seen.recoveredAt ?? Infinity) - second)).toBeLessThanOrEqual(3);
      }
    },
    PATIENCE,
  );

  it.each([140, 280])(
    'with %i calls per second is whole at once where the server drops what is past its deadline',
    async (load) => {
      for (const client of ['none', { budget: 0.2 }, 'naive', 'standard'] as const)
        expect(await recoveredAt(load, client, true)).toBeLessThanOrEqual(PUBLISHED_WITH_DEADLINE);
    },
    PATIENCE,
  );

  it(
    'recovers under the standard pipeline even if the server answers what nobody waits for',
    async () => {
      expect(await recoveredAt(280, 'standard')).toBeLessThanOrEqual(30);
    },
    PATIENCE,
  );

  it(
    'gets twice the calls from naive clients, and hardly more than the budget from others',
    async () => {
      const of = async (client: Scenario['client']): Promise<number> =>
        (await simulate({ load: 280, client, deadline: false, seconds: 100 })).amplification;
      expect(await of('naive')).toBeGreaterThan(1.8);
      expect(await of({ budget: 0.1 })).toBeLessThanOrEqual(1.1);
    },
    PATIENCE,
  );
});
