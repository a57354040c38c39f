/**
 * Whether a request's body can be sent a second time, and how what an attempt leaves behind is freed.
 *
 * A stream is consumed by the first attempt: sent again it is empty, and the server answers 200 to
 * nothing (`Readable`) or waits for bytes that never come (npm `form-data`). So a stream is sent once,
 * unless the caller gives a factory that opens it anew.
 */

/** What is used of a Node stream. */
interface NodeStream {
  readonly pipe: unknown;
  on?(event: 'error', listener: () => void): void;
  destroy?(): void;
}

/** Whether `data` is a Node stream, npm `form-data` included. */
function isNodeStream(data: unknown): data is NodeStream {
  return (
    typeof data === 'object' &&
    data !== null &&
    typeof (data as { pipe?: unknown }).pipe === 'function'
  );
}

/** Whether `data` is a web stream. */
function isWebStream(data: unknown): data is ReadableStream {
  return (
    typeof data === 'object' &&
    data !== null &&
    typeof (data as ReadableStream).getReader === 'function'
  );
}

/** Whether sending `data` consumes it, so that it can't be sent again. */
export function isConsumedBySending(data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return false;
  return (
    isNodeStream(data) ||
    isWebStream(data) ||
    typeof (data as AsyncIterable<unknown>)[Symbol.asyncIterator] === 'function'
  );
}

/** How the attempt that a web stream came from is stopped. */
const stops = new WeakMap<object, () => void>();

/**
 * Remembers how `data` can be freed for certain. Under a signal, the fetch adapter wraps the body in a
 * stream whose `cancel` waits for the next chunk (`lib/helpers/trackStream.js`), which may never come.
 */
export function freedBy(data: unknown, stop: () => void): void {
  if (isWebStream(data)) stops.set(data, stop);
}

/**
 * Frees a stream that nobody will read or send any more: an unread response body holds its socket,
 * an unsent file its descriptor. What is not a stream is left alone.
 */
export function release(data: unknown): void {
  if (isNodeStream(data)) {
    // A stream destroyed half-way may still report that; nobody else listens by now.
    data.on?.('error', () => {});
    data.destroy?.();
  } else if (isWebStream(data) && !data.locked) {
    data.cancel().catch(() => {});
    stops.get(data)?.();
  }
}
