/** Reads a dashboard: once, or its stream of server-sent events for as long as somebody looks. */
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { BadInputError } from '../bad-input.js';
import { after } from '../clock.js';
import { Board, type SampleView, type SnapshotView } from './board.js';

/** Where the dashboard is, and how it is asked. */
export interface Source {
  /** Where it is mounted: `http://localhost:4000`. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Milliseconds between two tries to connect again. */
const RECONNECT_DELAY = 1_000;
/** Milliseconds that a dashboard may take to answer. */
const PATIENCE = 10_000;

/**
 * The dashboard at this moment.
 *
 * @throws `BadInputError` where there is none.
 */
export async function readSnapshot(source: Source): Promise<SnapshotView> {
  const answer = await ask(source, 'snapshot', AbortSignal.timeout(PATIENCE));
  const snapshot = (await answer.json().catch(() => ({}))) as SnapshotView;
  // Checks what it is.
  new Board(snapshot);
  return snapshot;
}

/** Hears of a board. */
export interface Viewer {
  changed(board: Board): void;
  /** The connection was lost, and is made again. */
  lost(reason: string): void;
}

/**
 * Follows a dashboard until it is aborted, through restarts of it.
 *
 * @throws `BadInputError` where there is none to begin with.
 */
export async function follow(source: Source, viewer: Viewer, signal: AbortSignal): Promise<void> {
  let seen = false;
  while (!signal.aborted) {
    try {
      await readStream(source, signal, (board) => {
        seen = true;
        viewer.changed(board);
      });
      if (!signal.aborted) viewer.lost('the dashboard has ended the connection');
    } catch (error) {
      if (signal.aborted) return;
      if (!seen || !isPassing(error)) throw error;
      viewer.lost((error as Error).message);
    }
    await pause(signal);
  }
}

async function readStream(
  source: Source,
  signal: AbortSignal,
  changed: (board: Board) => void,
): Promise<void> {
  const answer = await ask(source, 'events', signal);
  const type = answer.headers.get('content-type') ?? '';
  if (answer.body === null || !type.startsWith('text/event-stream')) {
    throw new BadInputError(`what answers at ${source.url} is no dashboard of @resil/dashboard`);
  }
  let board: Board | undefined;
  const messages = answer.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream({ onError: 'terminate' }));
  for await (const { event, data } of messages) {
    if (event === 'snapshot') board = new Board(JSON.parse(data) as SnapshotView);
    else if (event === 'sample') board?.apply(JSON.parse(data) as SampleView);
    else if (event === 'end') return;
    if (board !== undefined) changed(board);
  }
}

async function ask({ url, headers }: Source, path: string, signal: AbortSignal): Promise<Response> {
  const at = `${url.replace(/\/$/, '')}/${path}`;
  let answer: Response;
  try {
    answer = await fetch(at, { headers, signal });
  } catch (error) {
    const { cause } = error as { cause?: { code?: string } };
    const why = cause?.code ?? (error as Error).message;
    throw new NotReachedError(`the dashboard at ${url} can't be reached (${why})`, {
      cause: error,
    });
  }
  if (answer.ok) return answer;
  await answer.body?.cancel();
  const why =
    answer.status === 404
      ? 'it is mounted elsewhere, or not at all'
      : `it answered with status ${answer.status}`;
  const message = `there is no dashboard to be seen at ${url}: ${why}`;
  throw answer.status >= 500 ? new NotReachedError(message) : new BadInputError(message);
}

/** It may be there again in a moment. */
class NotReachedError extends BadInputError {}

/** What is worth trying again. A connection that breaks in the middle is an error of fetch's own. */
function isPassing(error: unknown): boolean {
  return error instanceof NotReachedError || !(error instanceof BadInputError);
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = after(RECONNECT_DELAY, done);
    signal.addEventListener('abort', done);
  });
}
