/** The only source of time in this package. */

/** Calls `callback` after so many milliseconds; the result takes that back. */
export function after(delay: number, callback: () => void): () => void {
  const timer = setTimeout(callback, delay);
  return () => clearTimeout(timer);
}

/** Wall time, for what people read. */
export function wallTime(): number {
  return Date.now();
}
