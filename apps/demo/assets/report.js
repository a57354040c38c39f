// Draws the charts of the report from the data in the page, anew when the page turns dark or light.
/* global echarts */

const data = JSON.parse(document.getElementById('data').textContent);
const dark = window.matchMedia('(prefers-color-scheme: dark)');
const charts = [];

const narrow = window.matchMedia('(max-width: 700px)');

const UNPROTECTED = 'unprotected';
const PROTECTED = 'protected';
// By name, as the widths of texts are computed with it.
const FONT = getComputedStyle(document.body).fontFamily;

function colorsOfPage() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

/** A legend shows lines as they are drawn, without the dots that they don't have. */
const LINES = { itemStyle: { opacity: 0 } };

/** Axes and legend that all charts share. */
function frame(color, { labels = false, marks = {} } = {}) {
  const axis = {
    axisLine: { lineStyle: { color: color('line') } },
    axisTick: { show: false },
    axisLabel: { color: color('soft') },
    splitLine: { lineStyle: { color: color('line') } },
  };
  return {
    animation: false,
    textStyle: { fontFamily: FONT },
    grid: {
      left: 58,
      right: 16,
      top: labels ? 70 : narrow.matches && marks === LINES ? 56 : 34,
      bottom: 26,
    },
    legend: {
      top: 0,
      right: 8,
      textStyle: { color: color('ink') },
      itemWidth: 22,
      itemGap: 16,
      ...marks,
    },
    tooltip: {
      trigger: 'axis',
      backgroundColor: color('card'),
      borderColor: color('line'),
      textStyle: { color: color('ink') },
    },
    xAxis: {
      type: 'value',
      min: 0,
      max: data.end,
      interval: (data.end > 30 ? 5 : 1) * (narrow.matches ? 2 : 1),
      ...axis,
      splitLine: { show: false },
      axisLabel: {
        ...axis.axisLabel,
        formatter: '{value} s',
        hideOverlap: true,
        showMaxLabel: false,
      },
    },
    yAxis: { type: 'value', min: 0, ...axis },
  };
}

/** The times in which something is wrong, shaded. */
function faults(color, labels) {
  return {
    silent: true,
    itemStyle: { color: color('shade') },
    label: {
      show: labels && !narrow.matches,
      position: 'top',
      distance: 4,
      color: color('soft'),
      fontSize: 12,
    },
    // In two rows, as some faults are shorter than their names.
    data: data.phases
      .filter(({ fault }) => fault)
      .map(({ title, from, to }, index) => [
        { name: title, xAxis: from, label: { distance: index % 2 === 0 ? 4 : 19 } },
        { xAxis: to },
      ]),
  };
}

function line(name, points, color, more = {}) {
  return {
    type: 'line',
    name,
    data: points,
    symbol: 'none',
    itemStyle: { color },
    ...more,
    lineStyle: { width: 2, color, ...more.lineStyle },
  };
}

/** A horizontal line with a name. */
function level(value, text, color) {
  return {
    silent: true,
    symbol: 'none',
    lineStyle: { color: color('offered'), type: 'dotted' },
    label: { formatter: text, position: 'insideStartTop', color: color('soft') },
    data: [{ yAxis: value }],
  };
}

function goodput(color) {
  return {
    ...frame(color, { labels: true, marks: LINES }),
    series: [
      line('arriving', data.guarded.offered, color('offered'), {
        step: 'middle',
        lineStyle: { width: 1 },
        markArea: faults(color, true),
      }),
      line(UNPROTECTED, data.unprotected.goodput, color('bare')),
      line(PROTECTED, data.guarded.goodput, color('own')),
      line('protected, at a fresh price', data.guarded.fresh, color('fresh'), {
        lineStyle: { width: 1.5, type: 'dashed' },
        markLine: level(data.capacity, 'capacity of the price service', color),
      }),
    ],
  };
}

function duration(value) {
  if (value >= data.never) return 'never';
  return value < 1_000 ? `${Math.round(value)} ms` : `${Math.round(value / 100) / 10} s`;
}

function latency(color) {
  const base = frame(color, { labels: true, marks: LINES });
  const thin = { lineStyle: { width: 1, type: 'dashed' } };
  return {
    ...base,
    tooltip: {
      ...base.tooltip,
      valueFormatter: (value) => (value === null ? '' : duration(value)),
    },
    yAxis: {
      ...base.yAxis,
      type: 'log',
      min: 1,
      max: data.never,
      axisLabel: { ...base.yAxis.axisLabel, formatter: duration },
    },
    series: [
      line('unprotected p50', data.unprotected.p50, color('bare'), {
        markArea: faults(color, true),
      }),
      line('unprotected p99', data.unprotected.p99, color('bare'), thin),
      line('protected p50', data.guarded.p50, color('own')),
      line('protected p99', data.guarded.p99, color('own'), {
        ...thin,
        markLine: level(data.patience, 'the customer has gone', color),
      }),
    ],
  };
}

const STATES = ['closed', 'half-open', 'open'];
// From the bottom up: the last step of an order first.
const CIRCUITS = [...new Set(data.guarded.circuits.map(({ circuit }) => circuit))].reverse();

function circuits(color) {
  const base = frame(color);
  const bar = (params, api) => {
    const from = api.coord([api.value(0), api.value(2)]);
    const to = api.coord([api.value(1), api.value(2)]);
    const height = api.size([0, 1])[1] * 0.6;
    const shape = echarts.graphic.clipRectByRect(
      { x: from[0], y: from[1] - height / 2, width: Math.max(1, to[0] - from[0]), height },
      {
        x: params.coordSys.x,
        y: params.coordSys.y,
        width: params.coordSys.width,
        height: params.coordSys.height,
      },
    );
    return shape && { type: 'rect', shape, style: { fill: api.visual('color') } };
  };
  return {
    ...base,
    tooltip: {
      ...base.tooltip,
      trigger: 'item',
      formatter: ({ value, seriesName }) =>
        `${CIRCUITS[value[2]]}: ${seriesName}<br>${value[0].toFixed(1)} s to ${value[1].toFixed(1)} s`,
    },
    yAxis: { ...base.yAxis, type: 'category', data: CIRCUITS, min: undefined },
    series: STATES.map((state, index) => ({
      type: 'custom',
      name: state,
      renderItem: bar,
      itemStyle: { color: color(state) },
      encode: { x: [0, 1], y: 2 },
      data: data.guarded.circuits
        .filter((span) => span.state === state)
        .map(({ circuit, from, to }) => [from, to, CIRCUITS.indexOf(circuit)]),
      ...(index === 0 ? { markArea: faults(color, false) } : {}),
    })),
  };
}

function small(curve, unit) {
  return (color) => {
    const base = frame(color, { marks: LINES });
    return {
      ...base,
      grid: { ...base.grid, left: 56 },
      xAxis: { ...base.xAxis, interval: data.end > 30 ? 10 : 2 },
      yAxis: {
        ...base.yAxis,
        splitNumber: 4,
        axisLabel: { ...base.yAxis.axisLabel, formatter: `{value}${unit}` },
      },
      series: [
        line(UNPROTECTED, data.unprotected[curve], color('bare'), {
          markArea: faults(color, false),
        }),
        line(PROTECTED, data.guarded[curve], color('own')),
      ],
    };
  };
}

const drawings = {
  goodput,
  latency,
  circuits,
  waiting: small('waiting', ''),
  kept: small('kept', ''),
  sockets: small('sockets', ''),
  memory: small('memory', ' MB'),
};

function draw() {
  const color = colorsOfPage();
  for (const chart of charts.splice(0)) chart.dispose();
  for (const [id, options] of Object.entries(drawings)) {
    const element = document.getElementById(id);
    if (element === null) continue;
    const chart = echarts.init(element, null, { renderer: 'svg' });
    chart.setOption(options(color));
    charts.push(chart);
  }
}

draw();
dark.addEventListener('change', draw);
narrow.addEventListener('change', draw);
window.addEventListener('resize', () => {
  for (const chart of charts) chart.resize();
});
