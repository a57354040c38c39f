/** SIGKILL of a service with an outbox, and of its broker, at random moments. */
import { writeSync } from 'node:fs';
import { startPostgres } from '@resil/testbed';
import { seededRandom } from '@resil/testing';
import { it } from 'vitest';
import { describeKafka } from '../cluster.js';
import { expectNothingLost, outboxRounds } from '../outbox-rounds.js';

const ROUNDS = Number(process.env.RESIL_ROUNDS ?? 200);
const SEED = Number(process.env.RESIL_SEED ?? 1);

describeKafka(`an outbox, ${ROUNDS} rounds, seed ${SEED}`, { nodes: 1 }, (lab) => {
  const rows: Record<string, object> = {};

  it.each(['file', 'table'])('loses nothing that was accepted: %s', async (kind) => {
    const postgres = kind === 'table' ? await startPostgres() : undefined;
    try {
      const outcome = await outboxRounds(lab, {
        rounds: ROUNDS,
        random: seededRandom(SEED),
        postgres,
        checkEvery: 20,
        onRound: (round, accepted, found) =>
          writeSync(
            2,
            `${kind}: round ${round} of ${ROUNDS}, ${accepted} accepted${found ? `: ${JSON.stringify(found)}` : ''}\n`,
          ),
      });
      rows[`${kind}, ${ROUNDS} rounds`] = outcome;
      console.table(rows);
      expectNothingLost(outcome, ROUNDS);
    } finally {
      await postgres?.close();
    }
  });
});
