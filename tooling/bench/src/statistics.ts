/** The few numbers that a measurement is summed up in. */

/** The middle value. */
export function medianOf(values: readonly number[]): number {
  return quantileOf(values, 0.5);
}

/** What the middle half of the values lies between. */
export function quartilesOf(values: readonly number[]): readonly [number, number] {
  return [quantileOf(values, 0.25), quantileOf(values, 0.75)];
}

function quantileOf(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] as number;
  const high = sorted[Math.ceil(at)] as number;
  return low + (high - low) * (at - Math.floor(at));
}
