/** One chart over time. Its legend says in words what the lines show, at the cursor or now. */
import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { colour, onColours } from './theme.js';

/** One line of a chart. */
export interface Line {
  readonly label: string;
  /** Name of its colour in the style sheet. */
  readonly colour: string;
  readonly dashed?: boolean;
  readonly filled?: boolean;
  readonly values: readonly (number | null)[];
}

/** What a chart shows. */
export interface ChartProps {
  readonly title: string;
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** Whether its numbers are whole. */
  readonly whole?: boolean;
  /** For each time 0 (closed), 1 (half-open), 2 (open), 3 (isolated): what is shaded. */
  readonly states?: readonly (number | null)[] | undefined;
}

const HEIGHT = 150;
/** Steps of an axis that counts. */
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000];
const shades: readonly (string | undefined)[] = [
  undefined,
  'warn-shade',
  'bad-shade',
  'hold-shade',
];

export function Chart({ title, times, lines, format, whole = false, states }: ChartProps): VNode {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shaded = useRef(states);
  shaded.current = states;
  const [cursor, setCursor] = useState<number | null>(null);
  const shape = lines.map((line) => `${line.label} ${line.colour}`).join();

  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const make = (): void => {
      plot.current?.destroy();
      const options = optionsOf(
        { lines, format, whole },
        element.clientWidth,
        () => shaded.current,
        setCursor,
      );
      plot.current = new uPlot(options, dataOf(times, lines), element);
    };
    make();
    const endColours = onColours(make);
    const observer = new ResizeObserver(() => {
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    observer.observe(element);
    return () => {
      endColours();
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(dataOf(times, lines));
  }, [times]);

  const at = cursor === null || cursor >= times.length ? times.length - 1 : cursor;
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="legend">
          {lines.map((line) => {
            const value = line.values[at];
            return (
              <span key={line.label} class="legend-entry">
                <i class={`swatch swatch-${line.colour}${line.dashed ? ' dashed' : ''}`} />
                {line.label} <b>{value === null || value === undefined ? '–' : format(value)}</b>
              </span>
            );
          })}
        </span>
      </figcaption>
      <div ref={place} class="plot" aria-hidden="true" />
    </figure>
  );
}

function dataOf(times: readonly number[], lines: readonly Line[]): uPlot.AlignedData {
  return [times, ...lines.map(({ values }) => values)] as unknown as uPlot.AlignedData;
}

function optionsOf(
  { lines, format, whole }: Pick<ChartProps, 'lines' | 'format' | 'whole'>,
  width: number,
  statesNow: () => readonly (number | null)[] | undefined,
  onCursor: (index: number | null) => void,
): uPlot.Options {
  const axis = {
    stroke: colour('muted'),
    font: `11px ${getComputedStyle(document.body).fontFamily}`,
    grid: { stroke: colour('grid'), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    padding: [10, 26, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      points: { size: 6 },
      sync: { key: 'pipeline' },
      drag: { x: false, y: false },
    },
    scales: {
      y: { range: (_plot, _least, most) => [0, Math.max(most ?? 0, 1) * 1.1] },
    },
    axes: [
      { ...axis, space: 70, size: 26, values: '{HH}:{mm}:{ss}' },
      {
        ...axis,
        size: 54,
        space: 34,
        ...(whole ? { incrs: WHOLE } : {}),
        values: (_plot: uPlot, values: number[]) => values.map((value) => format(value)),
      },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: colour(line.colour),
        width: 1.75,
        ...(line.dashed ? { dash: [5, 4] } : {}),
        ...(line.filled
          ? { fill: `color-mix(in srgb, ${colour(line.colour)} 14%, transparent)` }
          : {}),
        points: { show: false },
        spanGaps: false,
      })),
    ],
    hooks: {
      drawClear: [(plot) => shade(plot, statesNow())],
      setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)],
    },
  };
}

/** Shades the times at which a circuit was not closed. */
function shade(plot: uPlot, states: readonly (number | null)[] | undefined): void {
  const times = plot.data[0];
  if (states === undefined || times === undefined) return;
  const { left, width, top, height } = plot.bbox;
  for (let index = 0; index < times.length; index++) {
    const name = shades[states[index] ?? 0];
    if (name === undefined) continue;
    let end = index;
    while (end + 1 < times.length && states[end + 1] === states[index]) end++;
    const from = Math.max(left, plot.valToPos(times[index] ?? 0, 'x', true));
    const next = times[Math.min(end + 1, times.length - 1)] ?? 0;
    const to = Math.min(left + width, plot.valToPos(next, 'x', true));
    plot.ctx.fillStyle = colour(name);
    plot.ctx.fillRect(from, top, Math.max(1, to - from), height);
    index = end;
  }
}
