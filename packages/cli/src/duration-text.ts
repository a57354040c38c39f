/** Numbers as people read them. */

/** `250 ms`, `1.5 s`, `2 min`. */
export function durationText(milliseconds: number): string {
  if (milliseconds === Infinity) return 'for ever';
  if (milliseconds < 1_000) return `${rounded(milliseconds)} ms`;
  if (milliseconds < 120_000) return `${rounded(milliseconds / 1_000)} s`;
  return `${rounded(milliseconds / 60_000)} min`;
}

/** `∞` for what has no end. */
export function countText(count: number): string {
  return count === Infinity ? '∞' : String(count);
}

/** `12 %`. */
export function shareText(share: number): string {
  return `${rounded(share * 100)} %`;
}

function rounded(value: number): string {
  return String(Math.round(value * 10) / 10);
}
