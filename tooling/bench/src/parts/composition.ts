/** Retry, breaker, bulkhead and timeout together around a function that does nothing. */
import {
  answer,
  cockatiels,
  firing,
  opossumWithAll,
  ours,
  shutdown,
  through,
} from '../contenders.js';
import { costTable } from '../cost-table.js';
import type { Part } from '../part.js';
import { times } from '../report.js';
import { type Contender, measure } from '../rounds.js';

const BARE = 'bare await';
const OURS = '@resil retry > breaker > bulkhead > timeout';
const COCKATIEL = 'cockatiel, the same four';
const OPOSSUM = 'opossum breaker + timeout + capacity';

export const composition: Part = async (progress) => {
  const contenders: Contender[] = [
    { name: BARE, call: answer },
    through(OURS, ours.all()),
    through(COCKATIEL, cockatiels.all()),
    through(`${COCKATIEL}, abortOnReturn: false`, cockatiels.all(false)),
    firing(OPOSSUM, opossumWithAll()),
  ];
  progress(`${contenders.length} contenders`);
  const measured = await measure(contenders, { rounds: 21 });
  const table = await costTable(
    'Four patterns around a trivial function',
    contenders,
    measured,
    BARE,
  );
  shutdown();
  const overBare = measured.ratio(OURS, BARE);
  const cockatielOver = measured.ratio(COCKATIEL, OURS);
  const opossumOver = measured.ratio(OPOSSUM, OURS);
  return {
    tables: [table],
    targets: [
      {
        claim: 'four patterns: at most 5× a bare await',
        measured: times(overBare),
        reached: overBare <= 5,
      },
      {
        claim: "four patterns: at least 20× faster than cockatiel's",
        measured: times(cockatielOver),
        reached: cockatielOver >= 20,
      },
      {
        claim: "four patterns: faster than opossum's breaker + timeout + capacity",
        measured: times(opossumOver),
        reached: opossumOver > 1,
      },
    ],
  };
};
