/**
 * Pictures over time: rows below each other on one time axis. A row shows calls (one bar each, as long as
 * the call took, coloured by how it ended), states (a band), or numbers (a line).
 */

import { CustomChart, LineChart } from 'echarts/charts.js';
import { GridComponent, TitleComponent } from 'echarts/components.js';
import { init, use } from 'echarts/core.js';
import { SVGRenderer } from 'echarts/renderers.js';

use([CustomChart, LineChart, GridComponent, TitleComponent, SVGRenderer]);

/** How a call, or an attempt, ended. */
export type Ending = 'succeeded' | 'failed' | 'refused' | 'replaced' | 'waited' | 'aborted';

/** A call, or a part of one: milliseconds from, to. */
export interface Bar {
  readonly from: number;
  readonly to: number;
  readonly ending: Ending;
  /** Line within the row, from 0; given out by itself where it is left out. */
  readonly lane?: number;
}

/** A row of bars. */
export interface BarRow {
  readonly kind: 'bars';
  readonly label: string;
  readonly bars: readonly Bar[];
}

/** A row of states. */
export interface BandRow {
  readonly kind: 'band';
  readonly label: string;
  readonly spans: readonly { readonly from: number; readonly to: number; readonly state: string }[];
}

/** A row of lines, each a list of `[milliseconds, value]`; `step` holds a value until the next. */
export interface LineRow {
  readonly kind: 'lines';
  readonly label: string;
  readonly step?: boolean;
  readonly lines: readonly {
    readonly name: string;
    readonly points: readonly (readonly [number, number])[];
  }[];
}

/** A whole picture. */
export interface Picture {
  readonly title: string;
  /** Milliseconds that it spans. */
  readonly duration: number;
  readonly rows: readonly (BarRow | BandRow | LineRow)[];
}

const WIDTH = 860;
const LEFT = 150;
const LANE = 7;
const INK = '#333a45';
const FAINT = '#8a93a0';
/** Told apart without colour too: refused is a thin mark, waited is pale. */
const COLOURS: Readonly<Record<Ending, string>> = {
  succeeded: '#2f8f5b',
  failed: '#c8372d',
  refused: '#8a5cc2',
  replaced: '#d98a1f',
  waited: '#c9d1db',
  aborted: '#8a93a0',
};
const STATES: Readonly<Record<string, string>> = {
  closed: '#bfe3cd',
  open: '#f2b8b3',
  'half-open': '#f7dca8',
  fresh: '#bfe3cd',
  stale: '#f7dca8',
  gone: '#f2b8b3',
};
const LINES = ['#2b62c4', '#d98a1f', '#8a93a0'];
const MEANINGS: Readonly<Record<Ending, string>> = {
  succeeded: 'succeeded',
  failed: 'failed',
  refused: 'refused',
  replaced: 'answered instead',
  waited: 'waits',
  aborted: 'aborted',
};

/** Draws a picture as SVG. The same picture gives the same text. */
export function drawPicture(picture: Picture): string {
  const laned = picture.rows.map((row) =>
    row.kind === 'bars' ? { ...row, bars: withLanes(row.bars) } : row,
  );
  const heights = laned.map((row) => {
    if (row.kind === 'band') return 22;
    if (row.kind === 'lines') return 90;
    return LANE * (1 + Math.max(0, ...row.bars.map(({ lane }) => lane ?? 0)));
  });
  const tops: number[] = [];
  let y = 66;
  for (const height of heights) {
    tops.push(y);
    y += height + 22;
  }
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: y + 22 });
  const last = laned.length - 1;
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'sans-serif', color: INK },
    title: { text: picture.title, left: 12, top: 8, textStyle: { fontSize: 14, color: INK } },
    grid: laned.map((_, at) => ({ left: LEFT, right: 24, top: tops[at], height: heights[at] })),
    xAxis: laned.map((_, at) => ({
      type: 'value',
      gridIndex: at,
      min: 0,
      max: picture.duration,
      axisLine: { show: at === last, lineStyle: { color: FAINT } },
      axisTick: { show: at === last },
      splitLine: { show: true, lineStyle: { color: '#eceff3' } },
      axisLabel: {
        show: at === last,
        color: FAINT,
        formatter: (value: number) => timeText(value, picture.duration),
      },
    })),
    yAxis: laned.map((row, at) => ({
      type: 'value',
      gridIndex: at,
      show: row.kind === 'lines',
      min: 0,
      ...(row.kind !== 'lines' && { max: 1 }),
      splitNumber: 3,
      splitLine: { lineStyle: { color: '#eceff3' } },
      axisLabel: { color: FAINT },
    })),
    series: laned.flatMap((row, at) => seriesOf(row, at)),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  const labels = laned.map((row, at) => labelOf(row, (tops[at] as number) + 11)).join('');
  return `${tidy(svg).replace(/<\/svg>\s*$/, '')}${labels}${legendOf(laned)}</svg>\n`;
}

function seriesOf(row: BarRow | BandRow | LineRow, at: number): object[] {
  const axes = { xAxisIndex: at, yAxisIndex: at, silent: true };
  if (row.kind === 'lines') {
    return row.lines.map(({ points }, line) => ({
      type: 'line',
      ...axes,
      data: points,
      step: row.step === true ? 'end' : false,
      showSymbol: false,
      lineStyle: { width: 1.6, color: LINES[line] },
      itemStyle: { color: LINES[line] },
    }));
  }
  const boxes =
    row.kind === 'bars'
      ? row.bars.map(({ from, to, ending, lane = 0 }) => ({
          from,
          to,
          top: lane * LANE,
          height: LANE - 2,
          fill: COLOURS[ending],
          text: '',
        }))
      : row.spans.map(({ from, to, state }) => ({
          from,
          to,
          top: 0,
          height: 20,
          fill: STATES[state] ?? '#dfe5ec',
          text: state,
        }));
  return [
    {
      type: 'custom',
      ...axes,
      clip: true,
      data: boxes.map(({ from }) => [from, 0]),
      renderItem: (
        params: { dataIndex: number; coordSys: { y: number } },
        api: { coord(point: number[]): number[] },
      ) => {
        const box = boxes[params.dataIndex] as (typeof boxes)[number];
        const left = api.coord([box.from, 0])[0] as number;
        const width = Math.max(2.5, (api.coord([box.to, 0])[0] as number) - left);
        const top = params.coordSys.y + box.top;
        return {
          type: 'group',
          children: [
            {
              type: 'rect',
              shape: { x: left, y: top, width, height: box.height },
              style: { fill: box.fill },
            },
            ...(box.text !== '' && width > 7 * box.text.length
              ? [
                  {
                    type: 'text',
                    style: { x: left + 6, y: top + 4, text: box.text, fill: INK, fontSize: 12 },
                  },
                ]
              : []),
          ],
        };
      },
    },
  ];
}

/** Gives each bar the first line that is free. */
function withLanes(bars: readonly Bar[]): Bar[] {
  const ends: number[] = [];
  return bars.map((bar) => {
    if (bar.lane !== undefined) return bar;
    let lane = ends.findIndex((end) => end <= bar.from);
    if (lane < 0) lane = ends.length;
    ends[lane] = bar.to;
    return { ...bar, lane };
  });
}

function labelOf(row: BarRow | BandRow | LineRow, y: number): string {
  const text = (content: string, at: number, fill: string): string =>
    `<text x="12" y="${at}" font-family="sans-serif" font-size="12" fill="${fill}">${escaped(content)}</text>`;
  const names =
    row.kind === 'lines' && row.lines.length > 1
      ? row.lines.map(({ name }, line) => text(name, y + 18 + 16 * line, LINES[line] ?? INK))
      : [];
  return text(row.label, y, INK) + names.join('');
}

/** Only what the picture shows. */
function legendOf(rows: readonly (BarRow | BandRow | LineRow)[]): string {
  const used = new Set(
    rows.flatMap((row) => (row.kind === 'bars' ? row.bars.map(({ ending }) => ending) : [])),
  );
  let x = LEFT;
  return (Object.keys(COLOURS) as Ending[])
    .filter((ending) => used.has(ending))
    .map((ending) => {
      const box = `<rect x="${x}" y="40" width="14" height="8" fill="${COLOURS[ending]}"/>`;
      const word = `<text x="${x + 20}" y="48" font-family="sans-serif" font-size="12" fill="${FAINT}">${MEANINGS[ending]}</text>`;
      x += 34 + 7 * MEANINGS[ending].length + 10;
      return box + word;
    })
    .join('');
}

function timeText(value: number, duration: number): string {
  return duration >= 5_000 ? `${value / 1_000} s` : `${value} ms`;
}

/** What differs from one run to the next, and says nothing. */
function tidy(svg: string): string {
  return svg.replace(/ ecmeta_[a-z_]+="[^"]*"/g, '').replace(/zr\d+-/g, 'zr-');
}

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}
