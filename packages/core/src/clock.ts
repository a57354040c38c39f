/**
 * The only source of time. Everything that waits or measures takes a `Clock`, so that tests and
 * simulations run the same code on virtual time. The scale is monotonic: wall time appears only in
 * what people read.
 */

/** Time as the library sees it. An instance may be shared by any number of layers and pipelines. */
export interface Clock {
  /** Milliseconds on a monotonic scale of the clock's own; fractions allowed. */
  now(): number;
  /**
   * Runs `callback` once, `delay` milliseconds from now (0 or more, any size; fractions allowed),
   * and returns a function that cancels it. Cancelling twice, or after it ran, does nothing. In the
   * `background`, it must not keep the process alive.
   */
  schedule(callback: () => void, delay: number, background?: boolean): () => void;
  /**
   * Milliseconds since 1970, for what leaves the process (a breaker's snapshot). Never used to
   * measure. Default: `now()`.
   */
  epoch?(): number;
}

/** The longest delay that `setTimeout` honours; a longer one would fire at once. */
const MAX_TIMER_DELAY = 2 ** 31 - 1;

/** A clock whose timers can be exchanged under it. */
export interface SwitchableClock extends Clock {
  /** What runs its timers at this moment: another value when fake timers were put on or taken off. */
  readonly timers: unknown;
}

/**
 * The system's clock: `performance.now()` and `setTimeout`, looked up at each call, so that fake
 * timers installed later are seen. A timer is cancelled where it was set.
 */
export const systemClock: Clock = Object.freeze({
  now: () => performance.now(),
  schedule(callback: () => void, delay: number, background = false): () => void {
    const { setTimeout: set, clearTimeout: clear } = globalThis;
    let remaining = delay;
    let timer: ReturnType<typeof setTimeout>;
    const arm = (): void => {
      const step = Math.min(remaining, MAX_TIMER_DELAY);
      remaining -= step;
      timer = set(remaining > 0 ? arm : callback, step);
      // A timer is an object where it can keep a process alive, and a number elsewhere.
      if (background) (timer as { unref?: () => void }).unref?.();
    };
    arm();
    return () => clear(timer);
  },
  epoch: () => Date.now(),
  get timers() {
    return globalThis.setTimeout;
  },
} satisfies SwitchableClock);
