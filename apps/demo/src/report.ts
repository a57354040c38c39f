/**
 * The HTML report: one file with everything in it, the charting library too, so that it can be opened
 * and passed on without a network.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { alertLines } from './alerts.js';
import type { Claim, Measured } from './claims.js';
import { type Curves, curvesOf, NEVER } from './curves.js';
import { capacity, patience } from './scenario.js';
import { columns, ledgerLines, legend } from './table.js';

const here = dirname(fileURLToPath(import.meta.url));

/** Where the report goes unless it is told otherwise. */
export const reportFile: string = join(here, '../report/index.html');

/** What is reported. */
export interface ReportContent {
  readonly unprotected: Measured;
  readonly guarded: Measured;
  readonly claims: readonly Claim[];
  /** What could not be shown, and why. */
  readonly missing: readonly string[];
  /** What it ran on, for people. */
  readonly machine: string;
}

/** What the script of the page gets to know. */
interface PageData {
  readonly end: number;
  readonly capacity: number;
  readonly patience: number;
  readonly never: number;
  /** Faults of the protected run, in seconds; those of the other differ by the database's mood alone. */
  readonly phases: ReadonlyArray<{ title: string; fault: boolean; from: number; to: number }>;
  readonly unprotected: Curves;
  readonly guarded: Curves;
}

/** Writes the report; gives its whole path. */
export async function writeReport(file: string, content: ReportContent): Promise<string> {
  const path = resolve(file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, await page(content));
  return path;
}

async function page(content: ReportContent): Promise<string> {
  const assets = join(here, '../assets');
  const echarts = createRequire(import.meta.url).resolve('echarts');
  const [library, script, style] = await Promise.all([
    readFile(join(dirname(echarts), 'echarts.min.js'), 'utf8'),
    readFile(join(assets, 'report.js'), 'utf8'),
    readFile(join(assets, 'report.css'), 'utf8'),
  ]);
  const held = content.claims.every((claim) => claim.held);
  const { short, kafka } = content.guarded.record.scenario;
  const missing = content.missing
    .map((text) => `<p class="broken">${escapeHtml(text)}</p>`)
    .join('');
  const outbox = kafka
    ? '<figure><h2>Outbox</h2><p>Messages that wait for Kafka to come back.</p><div class="chart" id="kept"></div></figure>'
    : '';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>resil demo: unprotected beside protected</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>The same service, unprotected and protected</h1>
<p>For each order a service fetches a price over HTTP (axios), reserves stock by gRPC (grpc-js), writes a row to
PostgreSQL (pg)${kafka ? ' and sends two messages to Kafka (kafkajs)' : ''}, while all of them are being broken. Same load, same faults;
the protected service differs by one line for each client.</p>
${missing}
<p class="verdict ${held ? 'held' : 'broken'}">${held ? '✔' : '✘'} ${verdict(held, short)}</p>
</header>
<main>
<figure><h2>Orders served</h2><p>Per second, acknowledged within ${patience / 1_000} s of their arrival; by when they were answered.</p><div class="chart tall" id="goodput"></div></figure>
<figure><h2>Time to an answer</h2><p>Good or bad, by when the order arrived; on a logarithmic scale.</p><div class="chart tall" id="latency"></div></figure>
<figure><h2>Circuit breakers of the protected service</h2><p>Open: nothing is sent. Half-open: a few probes are.</p><div class="chart ${kafka ? 'mid' : 'low'}" id="circuits"></div></figure>
<div class="pair">
<figure><h2>Orders waiting</h2><p>Without an answer yet.</p><div class="chart" id="waiting"></div></figure>
${outbox}<figure><h2>Sockets</h2><p>Connections that the order service holds open.</p><div class="chart" id="sockets"></div></figure>
<figure><h2>Memory</h2><p>Resident, of the order service alone.</p><div class="chart" id="memory"></div></figure>
</div>
<section><h2>Phase by phase</h2>
<div class="scroll">${figures(content)}</div>
<pre class="legend">${escapeHtml(legend.join('\n'))}</pre>
</section>
<section><h2>What is claimed</h2>
<ul class="claims">${content.claims.map(claimItem).join('')}</ul>
</section>
${alerts(content.guarded)}<section><h2>The books</h2>
<div class="pair">${books('unprotected', 'bare', content.unprotected)}${books('protected', 'own', content.guarded)}</div>
</section>
</main>
<footer>${escapeHtml(content.machine)} · seed ${content.guarded.record.scenario.seed}</footer>
<script>${library}</script>
<script type="application/json" id="data">${JSON.stringify(pageData(content)).replaceAll('<', '\\u003c')}</script>
<script>${script}</script>
</body>
</html>
`;
}

function verdict(held: boolean, short: boolean): string {
  if (short) return held ? 'A short run: only the books were checked' : 'The books are wrong';
  return held ? 'The protected service kept every claim' : 'The protected service broke a claim';
}

function pageData({ unprotected, guarded }: ReportContent): PageData {
  const { end, short } = guarded.record.scenario;
  const step = short ? 250 : 1_000;
  return {
    end: end / 1_000,
    capacity,
    patience,
    never: NEVER,
    phases: guarded.record.phases.map(({ phase, start, lifted }) => ({
      title: phase.title,
      fault: phase.fault !== undefined,
      from: start / 1_000,
      to: lifted / 1_000,
    })),
    unprotected: curvesOf(unprotected.record, step),
    guarded: curvesOf(guarded.record, step),
  };
}

function figures({ unprotected, guarded }: ReportContent): string {
  const head = columns.map(({ title }) => `<th>${title}</th>`).join('');
  const rows = unprotected.figures.map((bare, index) => {
    const own = guarded.figures[index];
    if (own === undefined) return '';
    const cells = (phase: typeof own): string =>
      columns.map(({ text }) => `<td>${escapeHtml(text(phase))}</td>`).join('');
    return `<tbody><tr><th rowspan="2">${escapeHtml(bare.title)}</th><th class="bare">unprotected</th>${cells(bare)}</tr>
<tr><th class="own">protected</th>${cells(own)}</tr></tbody>`;
  });
  return `<table><thead><tr><th>phase</th><th></th>${head}</tr></thead>${rows.join('')}</table>`;
}

function books(title: string, style: string, measured: Measured): string {
  const lines = ledgerLines(measured).map((line) => `<li>${escapeHtml(line)}</li>`);
  return `<div><h3 class="${style}">${title}</h3><ul>${lines.join('')}</ul></div>`;
}

function alerts({ record }: Measured): string {
  if (record.alerts === undefined) return '';
  const lines = alertLines(record).map((line) => `<li>${escapeHtml(line)}</li>`);
  return `<section><h2>Alerts of the protected service</h2>
<p>Raised by Prometheus, from rules that its clients were made into; for outages of seconds their windows and waits are shortened.</p>
<ul>${lines.join('') || '<li>none</li>'}</ul>
</section>
`;
}

function claimItem({ held, text, measured }: Claim): string {
  return `<li class="${held ? 'held' : 'broken'}">${escapeHtml(text)}<span>${escapeHtml(measured)}</span></li>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
