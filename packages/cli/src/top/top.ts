/** The dashboard in a terminal, until somebody has seen enough. */
import { colorsOf, type Screen, type Terminal } from '../terminal.js';
import type { Board } from './board.js';
import { screenLines } from './screen.js';
import { follow, type Source } from './watch.js';

/** Another screen, no cursor; and back. */
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

/** Pipelines that a key moves the table by. */
const STEPS: Readonly<Record<string, number>> = {
  down: 1,
  j: 1,
  up: -1,
  k: -1,
  pagedown: 10,
  pageup: -10,
};

/**
 * Shows a dashboard until a key ends it: `q`, Ctrl-C or Escape.
 *
 * @throws `BadInputError` where there is no dashboard.
 */
export async function showTop(source: Source, terminal: Terminal, screen: Screen): Promise<void> {
  const colors = colorsOf(terminal);
  const ending = new AbortController();
  let board: Board | undefined;
  let notice: string | undefined;
  let offset = 0;
  const draw = (): void => {
    if (board === undefined) return;
    const lines = screenLines(board, screen, { offset, notice }, colors);
    terminal.out(
      `${HOME}${lines.map((line) => `${line}${CLEAR_LINE}`).join('\r\n')}${CLEAR_BELOW}`,
    );
  };
  let entered = false;
  const stopKeys = screen.onKey((key) => {
    if (key === 'q' || key === 'escape' || key === 'ctrl-c') ending.abort();
    const step = STEPS[key];
    if (step === undefined || board === undefined) return;
    offset = Math.max(0, Math.min(offset + step, board.pipelines.length - 1));
    draw();
  });
  const stopResizes = screen.onResize(draw);
  try {
    const viewer = {
      changed: (seen: Board): void => {
        if (!entered) terminal.out(ENTER);
        entered = true;
        board = seen;
        notice = undefined;
        draw();
      },
      lost: (reason: string): void => {
        notice = `${reason}; trying again`;
        draw();
      },
    };
    await follow(source, viewer, ending.signal);
  } finally {
    stopKeys();
    stopResizes();
    if (entered) terminal.out(LEAVE);
  }
}
