/** Wall time, which HTTP dates are in. Whatever waits or is measured takes the monotonic `Clock` of `@resil/core`. */

/** Milliseconds since 1970, as `Date.now` gives them. */
export type WallClock = () => number;

/** The system's wall time, looked up at each call. */
export const systemWallClock: WallClock = () => Date.now();
