/** A dashboard as lines of text: those in trouble first. */
import { durationText, shareText } from '../duration-text.js';
import type { Colors } from '../terminal.js';
import type { Board, EventView, PipelineView } from './board.js';

/** Where the lines go. */
export interface ScreenSize {
  readonly columns: number;
  /** `Infinity` for as many as there are. */
  readonly rows: number;
}

/** What is shown beside the board. */
export interface ScreenState {
  /** First pipeline that is shown, from 0. */
  readonly offset: number;
  /** A line on the connection, if there is something to say. */
  readonly notice?: string | undefined;
}

/** Share of the rows for what happened, and rows at least. */
const EVENT_SHARE = 0.3;
const MIN_EVENTS = 3;
/** Rows for what happened where there is no end of rows. */
const MAX_EVENTS = 10;
/** Title, a blank, and the table's heads; a blank and a head before the events. */
const FRAME = 5;

interface Column {
  readonly head: string;
  readonly width: number;
  text(pipeline: PipelineView): string;
  color?(pipeline: PipelineView, colors: Colors): (text: string) => string;
}

const columns: readonly Column[] = [
  {
    head: 'state',
    width: 10,
    text: ({ state }) => state ?? '–',
    color: ({ state }, colors) => stateColor(state, colors),
  },
  { head: 'calls/s', width: 9, text: ({ rates }) => rate(callsOf(rates)) },
  {
    head: 'failed',
    width: 8,
    text: ({ rates }) => (callsOf(rates) === 0 ? '–' : shareText(failedOf(rates))),
    color: ({ rates }, colors) => (failedOf(rates) > 0.01 ? colors.red : colors.reset),
  },
  { head: 'refused/s', width: 10, text: ({ rates }) => rate(rates.rejected) },
  { head: 'retries/s', width: 10, text: ({ rates }) => rate(rates.retried) },
  { head: 'p50', width: 9, text: ({ latency }) => (latency ? durationText(latency.p50) : '–') },
  { head: 'p99', width: 9, text: ({ latency }) => (latency ? durationText(latency.p99) : '–') },
  {
    head: 'running',
    width: 9,
    text: ({ inFlight, limits }) => {
      const limit = limits.find((one) => one.limit !== null)?.limit;
      return limit === undefined || limit === null ? String(inFlight) : `${inFlight}/${limit}`;
    },
  },
  {
    head: 'waiting',
    width: 8,
    text: ({ waiting }) => String(waiting),
    color: ({ waiting }, colors) => (waiting > 0 ? colors.yellow : colors.reset),
  },
  {
    head: 'budget',
    width: 8,
    text: ({ budgets }) =>
      budgets.length === 0 ? '–' : String(Math.floor(Math.min(...budgets.map(({ left }) => left)))),
  },
];

/** The whole screen, a line for each row, none longer than it is wide. */
export function screenLines(
  board: Board,
  size: ScreenSize,
  state: ScreenState,
  colors: Colors,
): string[] {
  const several = board.processes.length > 1;
  const shown = rowsOf(board, several);
  const eventRows =
    size.rows === Infinity ? MAX_EVENTS : Math.max(MIN_EVENTS, Math.floor(size.rows * EVENT_SHARE));
  const tableRows = Math.max(1, size.rows - eventRows - FRAME);
  const table = shown.slice(state.offset, state.offset + tableRows);
  const rest = shown.length - state.offset - table.length;
  const nameWidth = Math.max(
    8,
    Math.min(
      40,
      size.columns - columns.reduce((sum, { width }) => sum + width, 0),
      Math.max(...shown.map(({ label }) => label.length), 8) + 2,
    ),
  );
  const heads = `${'pipeline'.padEnd(nameWidth)}${columns.map(({ head, width }) => head.padStart(width)).join('')}`;
  const events = board.events
    .slice(-eventRows)
    .reverse()
    .map((event) => eventLine(event, board));
  const time = new Date(board.at).toISOString().slice(11, 19);
  const live = board.processes.filter((one) => one.state === 'live').length;
  const title = `${clean(board.title)}  ${time} UTC  ${live} of ${board.processes.length} processes, ${board.pipelines.length} pipelines${rest > 0 ? `, ${rest} more below` : ''}`;
  return [
    colors.bold(cut(title, size.columns)),
    state.notice === undefined ? '' : colors.yellow(cut(state.notice, size.columns)),
    colors.dim(cut(heads, size.columns)),
    ...table.map(({ label, pipeline }) => tableLine(label, pipeline, nameWidth, size, colors)),
    '',
    colors.dim(cut('what happened, latest first', size.columns)),
    ...events.map((line) => cut(line, size.columns)),
  ].slice(0, size.rows);
}

interface Row {
  readonly label: string;
  readonly pipeline: PipelineView;
}

/** The pipelines, those of keys beneath theirs. */
function rowsOf(board: Board, several: boolean): Row[] {
  const nameOf = new Map(board.processes.map(({ id, name }) => [id, name]));
  return [...board.pipelines].sort(byTrouble).flatMap((pipeline) => {
    const process = several ? `${nameOf.get(pipeline.process ?? '') ?? '?'}: ` : '';
    const label = clean(`${process}${pipeline.name ?? 'without a name'}`);
    const keys = [...(pipeline.keys?.shown ?? [])].sort(byTrouble);
    return [
      { label, pipeline },
      ...keys.map((one) => ({ label: clean(`  ${one.key ?? one.name ?? ''}`), pipeline: one })),
    ];
  });
}

const WEIGHTS: Readonly<Record<string, number>> = { isolated: 3, open: 2, 'half-open': 1 };

function byTrouble(a: PipelineView, b: PipelineView): number {
  const weight = ({ state }: PipelineView): number => WEIGHTS[state ?? ''] ?? 0;
  return (
    weight(b) - weight(a) ||
    failedOf(b.rates) - failedOf(a.rates) ||
    callsOf(b.rates) - callsOf(a.rates) ||
    (a.name ?? '').localeCompare(b.name ?? '')
  );
}

function tableLine(
  label: string,
  pipeline: PipelineView,
  nameWidth: number,
  { columns: width }: ScreenSize,
  colors: Colors,
): string {
  let left = width - nameWidth;
  let line = cut(label, Math.min(width, nameWidth - 1)).padEnd(Math.min(width, nameWidth));
  for (const column of columns) {
    if (left < column.width) break;
    left -= column.width;
    const color = column.color?.(pipeline, colors) ?? colors.reset;
    line += color(cut(column.text(pipeline), column.width - 1).padStart(column.width));
  }
  return line;
}

function eventLine({ at, type, pipeline, key, strategy, count }: EventView, board: Board): string {
  const name = board.pipeline(pipeline)?.name ?? '';
  const where = [name, key, strategy === name ? null : strategy].filter((part) => part !== null);
  const times = count > 1 ? ` ×${count}` : '';
  return `${new Date(at).toISOString().slice(11, 19)}  ${clean(type)}${times}  ${clean(where.join(' '))}`;
}

function stateColor(state: string | null, colors: Colors): (text: string) => string {
  if (state === 'open' || state === 'isolated') return colors.red;
  return state === 'half-open' ? colors.yellow : colors.green;
}

function callsOf({ succeeded, failed, rejected }: PipelineView['rates']): number {
  return succeeded + failed + rejected;
}

function failedOf(rates: PipelineView['rates']): number {
  const calls = callsOf(rates);
  return calls === 0 ? 0 : (rates.failed + rates.rejected) / calls;
}

function rate(perSecond: number): string {
  return perSecond >= 100 ? String(Math.round(perSecond)) : String(Math.round(perSecond * 10) / 10);
}

/** Names come from elsewhere: what would move the cursor or change colours must not get to the terminal. */
function clean(text: string): string {
  return text.replace(/\p{C}/gu, '·');
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}
