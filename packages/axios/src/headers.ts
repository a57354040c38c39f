/**
 * Reads one header of a request or response, whatever holds it: an `AxiosHeaders`, a `Headers`, or
 * the plain object that a custom adapter or a mock gives.
 */

/** Anything that holds headers. */
export type HeaderSource = object | null | undefined;

/**
 * The value of header `name`, or `undefined` if it is not there or not a text.
 *
 * @param name Lower case.
 */
export function headerOf(headers: HeaderSource, name: string): string | undefined {
  if (headers === null || headers === undefined) return undefined;
  const { get } = headers as { get?: unknown };
  if (typeof get === 'function') return textOf(get.call(headers, name));
  for (const [key, value] of Object.entries(headers)) {
    if (key.toLowerCase() === name) return textOf(value);
  }
  return undefined;
}

function textOf(value: unknown): string | undefined {
  const first = Array.isArray(value) ? value[0] : value;
  if (typeof first === 'number') return String(first);
  return typeof first === 'string' ? first.trim() : undefined;
}
