/** What a call costs while the circuit is open. */
import { answer, cockatiels, firing, opossum, ours, shutdown, through } from '../contenders.js';
import { costTable } from '../cost-table.js';
import type { Part } from '../part.js';
import { times } from '../report.js';
import { awaitEachFailing, type Contender, measure } from '../rounds.js';

const OURS = '@resil';
const OURS_ALL = '@resil retry > breaker > bulkhead > timeout';
const COCKATIEL = 'cockatiel';
const OPOSSUM = 'opossum';

export const refusal: Part = async (progress) => {
  const breaker = ours.circuitBreaker();
  const all = ours.all();
  const cockatielBreaker = cockatiels.circuitBreaker();
  const opossumBreaker = opossum(answer);
  const fail = async (): Promise<never> => {
    throw new Error('down');
  };
  await awaitEachFailing(() => breaker.execute(fail), 5);
  await awaitEachFailing(() => all.execute(fail, { idempotent: false }), 5);
  await awaitEachFailing(() => cockatielBreaker.execute(fail), 5);
  opossumBreaker.open();
  const contenders: Contender[] = [
    through(OURS, breaker),
    through(OURS_ALL, all),
    through(COCKATIEL, cockatielBreaker),
    firing(OPOSSUM, opossumBreaker),
  ];
  for (const { name, call } of contenders) {
    const refused = await call().then(
      () => false,
      () => true,
    );
    if (!refused) throw new Error(`${name} is not open`);
  }
  progress(`${contenders.length} contenders`);
  const measured = await measure(contenders, { loop: awaitEachFailing });
  const table = await costTable(
    'A refusal while the circuit is open',
    contenders,
    measured,
    OURS,
    awaitEachFailing,
  );
  shutdown();
  const targets = [COCKATIEL, OPOSSUM].map((peer) => {
    const ratio = measured.ratio(peer, OURS);
    return {
      claim: `a refusal while open: at least 3× cheaper than ${peer}'s`,
      measured: times(ratio),
      reached: ratio >= 3,
    };
  });
  return { tables: [table], targets };
};
