/** Where a command reads from and writes to; given, so that tests can listen. */

import { emitKeypressEvents } from 'node:readline';
import picocolors from 'picocolors';

/** Colours, or none. */
export type Colors = ReturnType<typeof picocolors.createColors>;

/** The world of a command. */
export interface Terminal {
  /** Folder that relative paths start from. */
  readonly cwd: string;
  /** Whether colours are wanted. Default: as picocolors finds it. */
  readonly color?: boolean | undefined;
  /** A screen that can be drawn on; `undefined` where the output goes to a file or another program. */
  readonly screen?: Screen | undefined;
  out(text: string): void;
  err(text: string): void;
}

/** A screen and its keys. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** Hears keys by name (`q`, `down`, `ctrl-c`); the result ends it. */
  onKey(listener: (key: string) => void): () => void;
  /** Hears of a new size; the result ends it. */
  onResize(listener: () => void): () => void;
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  return {
    cwd: process.cwd(),
    screen: process.stdout.isTTY && process.stdin.isTTY ? processScreen() : undefined,
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
  };
}

function processScreen(): Screen {
  const { stdin, stdout } = process;
  return {
    get columns() {
      return stdout.columns;
    },
    get rows() {
      return stdout.rows;
    },
    onKey(listener) {
      const heard = (_text: string, key: { name?: string; ctrl?: boolean }): void => {
        if (key.name !== undefined) listener(key.ctrl === true ? `ctrl-${key.name}` : key.name);
      };
      emitKeypressEvents(stdin);
      stdin.setRawMode(true);
      stdin.on('keypress', heard);
      stdin.resume();
      return () => {
        stdin.off('keypress', heard);
        stdin.setRawMode(false);
        stdin.pause();
      };
    },
    onResize(listener) {
      stdout.on('resize', listener);
      return () => stdout.off('resize', listener);
    },
  };
}

/** The colours of a terminal. */
export function colorsOf({ color }: Terminal): Colors {
  return picocolors.createColors(color);
}
