/** Where a command reads from and writes to; given, so that tests can listen. */
import picocolors from 'picocolors';

/** Colours, or none. */
export type Colors = ReturnType<typeof picocolors.createColors>;

/** The world of a command. */
export interface Terminal {
  /** Folder that relative paths start from. */
  readonly cwd: string;
  /** Whether colours are wanted. Default: as picocolors finds it. */
  readonly color?: boolean | undefined;
  out(text: string): void;
  err(text: string): void;
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  return {
    cwd: process.cwd(),
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
  };
}

/** The colours of a terminal. */
export function colorsOf({ color }: Terminal): Colors {
  return picocolors.createColors(color);
}
