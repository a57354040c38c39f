/** The CPU work of the part `worker`, on a thread or not. */

/** Calculates for so many rounds. */
export default function spin(rounds: number): number {
  let sum = 0;
  for (let round = 0; round < rounds; round++) sum = (sum * 31 + round) % 1_000_003;
  return sum;
}
