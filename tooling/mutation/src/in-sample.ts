/** Which mutants a sample consists of. */
import crypto from 'node:crypto';
import path from 'node:path';

/** A mutant, as far as it is told from others. */
export interface Spot {
  readonly location: { readonly start: { readonly line: number; readonly column: number } };
  readonly replacement?: string | undefined;
}

/** Whether a mutant is in a sample of so many: the same ones each time, while its file is the same. */
export function isInSample(file: string, { location, replacement }: Spot, ratio: number): boolean {
  const { line, column } = location.start;
  const text = `${path.basename(file)}:${line}:${column}:${replacement}`;
  const [first, second] = crypto.createHash('sha256').update(text).digest();
  return ((first as number) * 256 + (second as number)) / 65_536 < ratio;
}
