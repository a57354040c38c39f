/**
 * The samples of a window as one: their mean duration, the most calls in flight, whether any was
 * dropped. After Netflix's WindowedLimit: a window ends with the first sample that comes after its
 * time, lasts twice the shortest duration of the one before within the bounds, and counts for nothing
 * with fewer than `minimumCalls` samples.
 */

/** What makes a window of samples. */
export interface SampleWindowOptions {
  /** Milliseconds that a window lasts at least. */
  readonly minDuration: number;
  /** Milliseconds that a window lasts at most. */
  readonly maxDuration: number;
  /** Samples that a window must have to count. */
  readonly minimumCalls: number;
}

/** Defaults of a window of samples: those of Netflix's WindowedLimit. */
export const sampleWindowDefaults: SampleWindowOptions = Object.freeze({
  minDuration: 1_000,
  maxDuration: 1_000,
  minimumCalls: 10,
});

/** Milliseconds under which a sample tells nothing about the dependency. */
const SHORTEST = 0.1;

/** Sums up samples. The fields are those of the window that ended last. */
export class SampleWindow {
  duration = 0;
  inFlight = 0;
  dropped = false;
  readonly #options: SampleWindowOptions;
  #endsAt = -Infinity;
  #count = 0;
  #sum = 0;
  #shortest = Infinity;
  #most = 0;
  #anyDropped = false;

  constructor(options: SampleWindowOptions) {
    this.#options = options;
  }

  /** Adds a sample that ended at `now`; gives whether a window that counts has ended with it. */
  add(duration: number, inFlight: number, dropped: boolean, now: number): boolean {
    if (duration < SHORTEST) return false;
    this.#count++;
    this.#sum += duration;
    this.#shortest = Math.min(this.#shortest, duration);
    this.#most = Math.max(this.#most, inFlight);
    this.#anyDropped ||= dropped;
    if (now <= this.#endsAt) return false;
    return this.#end(now);
  }

  #end(now: number): boolean {
    const { minDuration, maxDuration, minimumCalls } = this.#options;
    const counts = this.#count >= minimumCalls;
    this.duration = this.#sum / this.#count;
    this.inFlight = this.#most;
    this.dropped = this.#anyDropped;
    this.#endsAt = now + Math.min(maxDuration, Math.max(minDuration, 2 * this.#shortest));
    this.#count = 0;
    this.#sum = 0;
    this.#shortest = Infinity;
    this.#most = 0;
    this.#anyDropped = false;
    return counts;
  }
}
