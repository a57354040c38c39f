/** SIGKILL of a service with an outbox, and of its broker, at random moments. */
import { seededRandom } from '@resil/testing';
import { expect, it } from 'vitest';
import { describeKafka } from '../cluster.js';
import { outboxRounds } from '../outbox-rounds.js';

const ROUNDS = Number(process.env.RESIL_ROUNDS ?? 200);
const SEED = Number(process.env.RESIL_SEED ?? 1);

describeKafka(`an outbox, ${ROUNDS} rounds, seed ${SEED}`, { nodes: 1 }, (lab) => {
  it('loses nothing that was accepted', async () => {
    const outcome = await outboxRounds(lab, ROUNDS, seededRandom(SEED));
    console.table({ [`${ROUNDS} rounds`]: outcome });
    expect(outcome).toMatchObject({ missing: 0, disordered: 0 });
  });
});
