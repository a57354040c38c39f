import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  circuitBreaker,
  type Keyed,
  keyed,
  type Pipeline,
  pipeline,
  retry,
  retryBudget,
  timeout,
} from '@resil/core';
import { type DashboardSample, type DashboardSnapshot, dashboard } from '@resil/dashboard';
import { afterEach, describe, expect, it } from 'vitest';
import { run, type Screen, type Terminal } from '../src/index.js';
import { colorsOf } from '../src/terminal.js';
import { Board, type SampleView, type SnapshotView } from '../src/top/board.js';
import { screenLines } from '../src/top/screen.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** Serves a dashboard of some pipelines. */
async function serve(port = 0): Promise<{ url: string; server: Server }> {
  const board = dashboard({ title: 'shop', interval: 100 });
  const server = createServer((request, response) =>
    board(request, response, () => response.end()),
  );
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const end = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  ends.push(end);
  return { url, server };
}

/** A terminal that keeps what is drawn, with keys to press. */
class FakeTerminal implements Terminal {
  readonly cwd: string = process.cwd();
  readonly color: boolean = false;
  readonly #keys = new Set<(key: string) => void>();
  readonly #resizes = new Set<() => void>();
  readonly #waiting = new Set<() => void>();
  written = '';
  screen: Screen | undefined = {
    columns: 110,
    rows: 24,
    onKey: (listener) => added(this.#keys, listener),
    onResize: (listener) => added(this.#resizes, listener),
  };

  readonly out = (text: string): void => {
    this.written += text;
    for (const look of this.#waiting) look();
  };
  readonly err = (text: string): void => {
    this.written += text;
  };

  press(key: string): void {
    for (const listener of this.#keys) listener(key);
  }

  get listeners(): number {
    return this.#keys.size + this.#resizes.size;
  }

  /** The latest drawing. */
  get drawn(): string {
    return this.written.split('\u001b[H').at(-1) ?? '';
  }

  /** Waits until something is on the screen. */
  shows(wanted: RegExp): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!wanted.test(this.drawn)) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }
}

function added<T>(to: Set<T>, one: T): () => void {
  to.add(one);
  return () => to.delete(one);
}

let prices: Pipeline;
let shards: Keyed;
function pipelines(): void {
  prices = pipeline(
    'prices',
    retry({ maxAttempts: 2, budget: retryBudget() }),
    circuitBreaker({ name: 'prices', failureThreshold: 2, resetTimeout: 60_000 }),
    timeout({ duration: 500 }),
  );
  shards = keyed((key) => pipeline({ name: 'shards', key }, timeout({ duration: 500 })), {
    name: 'shards',
  });
  shards.for('shard-7');
}

describe('resil top', () => {
  it('shows the dashboard once where there is no screen', async () => {
    pipelines();
    const { url } = await serve();
    const terminal = new FakeTerminal();
    terminal.screen = undefined;
    expect(await run(['top', url], terminal)).toBe(0);
    expect(terminal.written).toMatch(/^shop {2}\d\d:\d\d:\d\d UTC {2}1 of 1 processes/);
    expect(terminal.written).toMatch(/^prices +closed +0 +– +0 +0 +– +– +0 +0 +\d+/m);
    expect(terminal.written).toMatch(/^ {2}shard-7 /m);
    expect(terminal.written).not.toContain('\u001b');
  });

  it('gives the snapshot as JSON', async () => {
    pipelines();
    const { url } = await serve();
    const terminal = new FakeTerminal();
    expect(await run(['top', url, '--json'], terminal)).toBe(0);
    expect(JSON.parse(terminal.written)).toMatchObject({ protocol: 1, title: 'shop' });
  });

  it('follows it, shows a circuit that opens at the top, and leaves the screen as it was', async () => {
    pipelines();
    const { url } = await serve();
    const terminal = new FakeTerminal();
    const ended = run(['top', url], terminal);
    await terminal.shows(/prices +closed/);
    await prices.execute(() => Promise.reject(new Error('down'))).catch(() => {});
    await terminal.shows(/prices +open/);
    await terminal.shows(/circuit\.opened {2}prices/);
    expect(terminal.drawn.split('\r\n')[3]).toMatch(/^prices +open/);
    terminal.press('down');
    expect(terminal.drawn.split('\r\n')[3]).not.toMatch(/open/);
    terminal.press('q');
    expect(await ended).toBe(0);
    expect(terminal.listeners).toBe(0);
    expect(terminal.written.startsWith('\u001b[?1049h\u001b[?25l')).toBe(true);
    expect(terminal.written.endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);
  });

  it('connects again when the dashboard comes back', async () => {
    pipelines();
    const { url, server } = await serve();
    const terminal = new FakeTerminal();
    const ended = run(['top', url], terminal);
    await terminal.shows(/prices/);
    const { port } = server.address() as AddressInfo;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await terminal.shows(/; trying again/);
    await serve(port);
    await terminal.shows(/^(?![\s\S]*trying again)[\s\S]*prices/);
    terminal.press('escape');
    expect(await ended).toBe(0);
  });

  it('sends headers along', async () => {
    const board = dashboard({ authorize: ({ headers }) => headers.authorization === 'Bearer 7' });
    const server = createServer((request, response) =>
      board(request, response, () => response.end()),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ends.push(
      () => server.closeAllConnections(),
      () => server.close(),
    );
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await run(['top', url, '--once'], new FakeTerminal())).toBe(2);
    const terminal = new FakeTerminal();
    expect(await run(['top', url, '--once', '--header', 'authorization: Bearer 7'], terminal)).toBe(
      0,
    );
  });

  it.each([
    ['no URL', 'orders', /'orders' is no URL of a dashboard/],
    ['nobody there', 'http://127.0.0.1:1', /can't be reached \(ECONNREFUSED\)|can't be reached/],
  ])('ends with 2 and a sentence: %s', async (_what, url, message) => {
    for (const extra of [['--once'], []]) {
      const terminal = new FakeTerminal();
      expect(await run(['top', url, ...extra], terminal)).toBe(2);
      expect(terminal.written).toMatch(message);
      expect(terminal.listeners).toBe(0);
    }
  });

  it('ends with 2 where something else answers, or another version', async () => {
    let body = '{}';
    const server = createServer((_request, response) => response.end(body));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ends.push(
      () => server.closeAllConnections(),
      () => server.close(),
    );
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const said = async (...args: readonly string[]): Promise<string> => {
      const terminal = new FakeTerminal();
      expect(await run(['top', url, ...args], terminal)).toBe(2);
      return terminal.written;
    };
    expect(await said('--once')).toContain('is no dashboard of @resil/dashboard');
    expect(await said()).toContain('is no dashboard of @resil/dashboard');
    body = JSON.stringify({ protocol: 2, pipelines: [], processes: [], events: [] });
    expect(await said('--once')).toContain('speaks version 2 of its protocol');
    expect(await said('--once', '--header', 'secret')).not.toContain('secret');
  });
});

describe('the screen', () => {
  const idle = { succeeded: 0, failed: 0, rejected: 0, retried: 0 };
  const view = (name: string, more: object = {}) => ({
    id: name,
    name,
    key: null,
    state: 'closed',
    inFlight: 0,
    waiting: 0,
    rates: idle,
    latency: null,
    limits: [],
    budgets: [],
    keys: null,
    ...more,
  });
  const boardOf = (pipelineViews: readonly object[]): Board =>
    new Board({
      protocol: 1,
      at: 0,
      title: 'shop',
      interval: 100,
      events: [],
      processes: [{ id: 'p', name: 'one', pid: 1, state: 'live' }],
      pipelines: pipelineViews,
    } as unknown as SnapshotView);
  const plain = colorsOf({ color: false } as Terminal);
  const lines = (board: Board, columns = 120, rows = 30) =>
    screenLines(board, { columns, rows }, { offset: 0 }, plain);

  it('puts those in trouble first', () => {
    const board = boardOf([
      view('idle'),
      view('busy', { rates: { ...idle, succeeded: 50 } }),
      view('failing', { rates: { ...idle, succeeded: 5, failed: 5 } }),
      view('open', { state: 'open' }),
      view('isolated', { state: 'isolated' }),
    ]);
    const names = lines(board)
      .slice(3, 8)
      .map((line) => line.split(' ')[0]);
    expect(names).toEqual(['isolated', 'open', 'failing', 'busy', 'idle']);
  });

  it('is never wider or longer than the terminal, whatever there is to show', () => {
    const many = Array.from({ length: 200 }, (_, index) => view(`pipeline ${index} `.repeat(9)));
    for (const [columns, rows] of [
      [20, 6],
      [80, 24],
      [200, 60],
    ] as const) {
      const drawn = lines(boardOf(many), columns, rows);
      expect(drawn.length).toBeLessThanOrEqual(rows);
      for (const line of drawn) expect(line.length).toBeLessThanOrEqual(columns);
    }
  });

  it('lets nothing through that a terminal would obey', () => {
    const drawn = lines(boardOf([view('evil\u001b[2J\u0007\u009b')])).join('\n');
    expect(drawn).toContain('evil·[2J··');
    for (const control of ['\u001b', '\u0007', '\u009b']) expect(drawn).not.toContain(control);
  });

  it('reads what the dashboard’s own types say that it sends', () => {
    const snapshot = (seen: DashboardSnapshot): SnapshotView => seen;
    const sample = (seen: DashboardSample): SampleView => seen;
    expect([snapshot, sample]).toHaveLength(2);
  });
});
