/** A source of chance: each call gives a number in [0, 1), as `Math.random` does. */
export type Random = () => number;

/** The system's chance, looked up at each call. */
export const systemRandom: Random = () => Math.random();
