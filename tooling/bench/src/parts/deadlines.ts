/** What a call under a timeout costs, by the number of deadlines that are pending. */
import { type Clock, pipeline, systemClock, timeout } from '@resil/core';
import { answer } from '../contenders.js';
import type { Part } from '../part.js';
import { nanoseconds, times } from '../report.js';
import { type Contender, measure } from '../rounds.js';

const FEW = 100;
const MANY = 20_000;

/** Milliseconds: the durations of the calls that are measured, short and long. */
const DURATIONS = [50, 300, 2_000, 30_000, 600_000];

/** Longer than the bench takes, so that as many are pending at its end as at its beginning. */
const SHORTEST_PENDING = 120_000;

export const deadlines: Part = async (progress) => {
  const contenders = [FEW, MANY].map((pending) => contenderWith(pending));
  progress(`${FEW} and ${MANY} pending deadlines`);
  const measured = await measure(contenders.map(({ contender }) => contender));
  for (const { end } of contenders) end();
  const ratio = measured.ratio(`${MANY}`, `${FEW}`);
  return {
    tables: [
      {
        title: 'A call under a timeout of 50 ms to 10 min, by pending deadlines',
        head: ['pending', '100', '20,000', 'ratio'],
        rows: [
          [
            '@resil',
            nanoseconds(measured.cost(`${FEW}`)),
            nanoseconds(measured.cost(`${MANY}`)),
            times(ratio),
          ],
        ],
      },
    ],
    targets: [
      {
        claim: 'a deadline: the same cost with 100 and with 20,000 pending (±15 %)',
        measured: times(ratio),
        reached: ratio <= 1.15,
      },
    ],
  };
};

/** Calls of all durations in turn, beside `pending` others that stay, all on a clock of their own. */
function contenderWith(pending: number): { contender: Contender; end: () => void } {
  const clock: Clock = { ...systemClock };
  const ends: (() => void)[] = [];
  const stay = (): Promise<void> => new Promise((resolve) => ends.push(resolve));
  for (let index = 0; index < pending; index++) {
    // Spread over two minutes to four days, evenly on a logarithmic scale.
    const duration = SHORTEST_PENDING * 3_000 ** (index / pending);
    void timeout({ duration, clock }).execute(stay);
  }
  const limits = DURATIONS.map((duration) => pipeline(timeout({ duration, clock })));
  let calls = 0;
  return {
    contender: {
      name: `${pending}`,
      call: () => (limits[calls++ % limits.length] as (typeof limits)[number]).execute(answer),
    },
    end: () => {
      for (const end of ends) end();
    },
  };
}
