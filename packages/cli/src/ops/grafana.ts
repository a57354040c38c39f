/**
 * A dashboard for Grafana: an overview of all dependencies, and a row for each with what its layers can
 * show. The model is that of Grafana's classic dashboards (schema version 41).
 */

import { createHash } from 'node:crypto';
import type { AttributeName } from '@resil/telemetry';
import type { Inspection } from '../inspection.js';
import { has } from '../lint/layers.js';
import type { Settings } from '../settings.js';
import { type AlertOptions, errorRatioName } from './alerts.js';
import { Expressions, type Matchers, maxBy, sumBy } from './promql.js';
import { dependenciesOf, type ProtectedDependency } from './protected-dependency.js';

/** A dashboard as Grafana imports it. */
export interface GrafanaDashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly object[];
  readonly [member: string]: unknown;
}

const SCHEMA_VERSION = 41;
/** Grafana's grid is so many columns wide. */
const COLUMNS = 24;
const PANEL = { w: 8, h: 8 } as const;

// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana puts its variable in
const datasource = { type: 'prometheus', uid: '${datasource}' } as const;

/** The dashboard of a service. */
export function grafanaDashboard(
  service: Inspection,
  settings: Settings = {},
  options: AlertOptions = {},
): GrafanaDashboard {
  const { selector, timeScale = 1 } = options;
  const expressions = new Expressions({ selector, timeScale });
  const rows: PanelRow[] = [
    { title: `${service.service}: all dependencies`, panels: overviewPanels(expressions) },
    ...dependenciesOf(service, settings).map((dependency) => ({
      title: dependency.name,
      panels: dependencyPanels(dependency, expressions),
    })),
  ];
  return {
    uid: createHash('sha256').update(`resil ${service.service}`).digest('hex').slice(0, 16),
    title: `Resilience of ${service.service}`,
    tags: ['resil', service.service],
    schemaVersion: SCHEMA_VERSION,
    editable: true,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        {
          name: 'datasource',
          label: 'Data source',
          type: 'datasource',
          query: 'prometheus',
        },
      ],
    },
    annotations: { list: [] },
    panels: laidOut(rows),
  };
}

interface PanelRow {
  readonly title: string;
  readonly panels: readonly PanelOf[];
}

/** What tells a panel from others. */
interface PanelOf {
  readonly title: string;
  readonly description: string;
  readonly unit: string;
  readonly queries: readonly { readonly expr: string; readonly legend: string }[];
  readonly max?: number;
  /** A value that should not be exceeded. */
  readonly limit?: number;
  readonly kind?: 'timeseries' | 'state-timeline';
}

function laidOut(rows: readonly PanelRow[]): object[] {
  const placed: object[] = [];
  let y = 0;
  for (const { title, panels } of rows) {
    const row = { type: 'row', title, collapsed: false, panels: [] };
    placed.push({ id: placed.length + 1, ...row, gridPos: { x: 0, y, w: COLUMNS, h: 1 } });
    y += 1;
    for (const [index, panel] of panels.entries()) {
      const x = (index * PANEL.w) % COLUMNS;
      if (x === 0 && index > 0) y += PANEL.h;
      placed.push(panelModel(panel, placed.length + 1, { x, y, ...PANEL }));
    }
    if (panels.length > 0) y += PANEL.h;
  }
  return placed;
}

function panelModel(panel: PanelOf, id: number, gridPos: object): object {
  const { title, description, unit, queries, limit, max, kind = 'timeseries' } = panel;
  const steps = [
    { color: 'green', value: null },
    ...(limit === undefined ? [] : [{ color: 'red', value: limit }]),
  ];
  const shown = kind === 'timeseries' ? timeseries(limit) : stateTimeline;
  return {
    id,
    type: kind,
    title,
    description,
    gridPos,
    datasource,
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource,
      expr,
      legendFormat: legend,
      range: true,
    })),
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        ...(max !== undefined && { max }),
        thresholds: { mode: 'absolute', steps },
        custom: shown.custom,
      },
      overrides: [],
    },
    options: shown.options,
  };
}

const timeseries = (limit: number | undefined) => ({
  custom: {
    lineWidth: 2,
    fillOpacity: 10,
    showPoints: 'never',
    thresholdsStyle: { mode: limit === undefined ? 'off' : 'line' },
  },
  options: {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
});

const stateTimeline = {
  custom: { lineWidth: 0, fillOpacity: 70 },
  options: {
    mergeValues: true,
    showValue: 'never',
    rowHeight: 0.9,
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
    tooltip: { mode: 'single', sort: 'none' },
  },
};

/** What Grafana puts in for the width of a point. */
const WINDOW = '$__rate_interval';

function ratePanel(
  expressions: Expressions,
  id: Parameters<Expressions['series']>[0],
  labels: readonly AttributeName[],
  matchers: Matchers = {},
  ending = '',
): string {
  return sumBy(labels, `rate(${expressions.series(id, matchers, ending)}[${WINDOW}])`);
}

function overviewPanels(expressions: Expressions): PanelOf[] {
  const legend = '{{resil_pipeline}}';
  return [
    {
      title: 'Calls',
      description: 'Calls that ended, per second.',
      unit: 'reqps',
      queries: [
        { expr: ratePanel(expressions, 'callDuration', ['resil.pipeline'], {}, '_count'), legend },
      ],
    },
    {
      title: 'Failed calls',
      description: 'Share of calls that failed or were refused, of five minutes.',
      unit: 'percentunit',
      max: 1,
      queries: [{ expr: errorRatioName(5 * 60_000, expressions), legend }],
    },
    {
      title: 'Open circuits',
      description: 'Circuits that refuse calls: 1 is open.',
      unit: 'short',
      kind: 'state-timeline',
      queries: [
        {
          expr: maxBy(
            ['resil.pipeline'],
            expressions.series('circuitState', { 'resil.state': ['open', 'isolated'] }),
          ),
          legend,
        },
      ],
    },
  ];
}

function dependencyPanels(dependency: ProtectedDependency, expressions: Expressions): PanelOf[] {
  const { name, pipeline, objective, totalTimeout, breaker, queues, repeaters } = dependency;
  const own = (matchers: Matchers = {}): Matchers => ({ 'resil.pipeline': name, ...matchers });
  const rate = (
    id: Parameters<Expressions['series']>[0],
    labels: readonly AttributeName[],
    ending = '',
  ): string => ratePanel(expressions, id, labels, own(), ending);
  const quantile = (q: number): string => {
    const buckets = rate('callDuration', ['resil.pipeline'], '_bucket');
    return `histogram_quantile(${q}, ${buckets.replace('sum by (', 'sum by (le, ')})`;
  };
  const panels: PanelOf[] = [
    {
      title: 'Calls by outcome',
      description: 'Calls that ended, per second.',
      unit: 'reqps',
      queries: [
        { expr: rate('callDuration', ['resil.outcome'], '_count'), legend: '{{resil_outcome}}' },
      ],
    },
    {
      title: 'Failed calls',
      description: `Share of calls that failed or were refused; the objective allows ${Number((1 - objective).toPrecision(6))}.`,
      unit: 'percentunit',
      limit: Number((1 - objective).toPrecision(6)),
      queries: [
        {
          expr: `${errorRatioName(5 * 60_000, expressions)}{resil_pipeline=${JSON.stringify(name)}}`,
          legend: '5 minutes',
        },
        {
          expr: `${errorRatioName(60 * 60_000, expressions)}{resil_pipeline=${JSON.stringify(name)}}`,
          legend: '1 hour',
        },
      ],
    },
    {
      title: 'Latency',
      description: 'Of whole calls, retries and waits included; the line is the total timeout.',
      unit: 's',
      ...(totalTimeout < Infinity && { limit: totalTimeout / 1_000 }),
      queries: [
        { expr: quantile(0.5), legend: 'p50' },
        { expr: quantile(0.95), legend: 'p95' },
        { expr: quantile(0.99), legend: 'p99' },
      ],
    },
  ];
  if (breaker !== undefined) {
    panels.push({
      title: 'Circuit',
      description: `Opens when ${breaker.opens}.`,
      unit: 'short',
      kind: 'state-timeline',
      queries: [
        {
          expr: maxBy(['resil.state'], `${expressions.series('circuitState', own())} > 0`),
          legend: '{{resil_state}}',
        },
      ],
    });
  }
  if (repeaters.length > 0) {
    panels.push({
      title: 'Attempts',
      description: 'First attempts, retries and hedges, per second.',
      unit: 'reqps',
      queries: [
        { expr: rate('attempts', ['resil.attempt.kind']), legend: '{{resil_attempt_kind}}' },
        { expr: rate('budgetExhausted', ['resil.pipeline']), legend: 'refused by the budget' },
      ],
    });
  }
  if (repeaters.some(({ bound }) => bound === 'budget')) {
    panels.push({
      title: 'Budget left',
      description: 'Retries and hedges that the budget would allow now.',
      unit: 'short',
      queries: [
        {
          expr: `min by (resil_strategy) (${expressions.series('budgetLeft', own())})`,
          legend: '{{resil_strategy}}',
        },
      ],
    });
  }
  if (has(pipeline, 'bulkhead', 'adaptiveLimiter')) {
    panels.push({
      title: 'Calls at a time',
      description: 'Permits that are taken, and how many there are.',
      unit: 'short',
      queries: [
        {
          expr: sumBy(['resil.strategy'], expressions.series('concurrencyInUse', own())),
          legend: 'taken: {{resil_strategy}}',
        },
        {
          expr: sumBy(['resil.strategy'], expressions.series('concurrencyLimit', own())),
          legend: 'limit: {{resil_strategy}}',
        },
      ],
    });
  }
  if (queues.length > 0) {
    panels.push({
      title: 'Queue',
      description: 'Calls that wait for their turn.',
      unit: 'short',
      limit: Math.max(...queues.map(({ maxQueueSize }) => maxQueueSize)),
      queries: [
        {
          expr: sumBy(['resil.strategy'], expressions.series('queueLength', own())),
          legend: '{{resil_strategy}}',
        },
      ],
    });
  }
  panels.push({
    title: 'Refusals and timeouts',
    description: 'Calls and attempts that were refused or cut short, per second.',
    unit: 'reqps',
    queries: [
      {
        expr: rate('refusals', ['resil.layer', 'resil.reason']),
        legend: '{{resil_layer}}: {{resil_reason}}',
      },
      { expr: rate('timeouts', ['resil.strategy']), legend: '{{resil_strategy}}' },
      ...(has(pipeline, 'fallback')
        ? [{ expr: rate('fallbacks', ['resil.pipeline']), legend: 'answered by a fallback' }]
        : []),
    ],
  });
  return panels;
}
