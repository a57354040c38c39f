/** The figures as they are printed. */
import CliTable from 'cli-table3';
import colors from 'picocolors';
import type { Claim, Measured } from './claims.js';
import { isServed, type PhaseFigures } from './figures.js';
import type { Book } from './record.js';
import { patience, prompt } from './scenario.js';

/** How figures are written, in the table and in the report. */
export const format = {
  ratio: (value: number): string =>
    `${(value * 100).toFixed(value > 0.995 || value === 0 ? 0 : 1)} %`,
  rate: (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)}/s`,
  duration: (value: number): string => {
    if (!Number.isFinite(value)) return 'never';
    return value < 1_000 ? `${Math.round(value)} ms` : `${(value / 1_000).toFixed(1)} s`;
  },
  memory: (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`,
  recovery: ({ recovery, recoveryLimit }: PhaseFigures): string => {
    if (recoveryLimit === undefined) return '';
    if (recovery === undefined) return `not in ${format.duration(recoveryLimit)}`;
    return recovery === 0 ? 'at once' : format.duration(recovery);
  },
} as const;

/** The columns, in the table and in the report. */
export const columns: ReadonlyArray<{
  readonly title: string;
  readonly text: (phase: PhaseFigures) => string;
}> = [
  { title: 'served', text: (phase) => format.ratio(phase.successRatio) },
  { title: 'goodput', text: (phase) => format.rate(phase.goodput) },
  { title: 'fresh', text: (phase) => format.rate(phase.freshGoodput) },
  { title: 'p50', text: (phase) => format.duration(phase.p50) },
  { title: 'p99', text: (phase) => format.duration(phase.p99) },
  {
    title: 'tries',
    text: (phase) => `${phase.attemptsPerCall.toFixed(2)} ${phase.reservationsPerCall.toFixed(2)}`,
  },
  { title: 'kept', text: (phase) => String(phase.kept) },
  { title: 'sockets', text: (phase) => String(phase.sockets) },
  { title: 'memory', text: (phase) => format.memory(phase.memory) },
  { title: 'recovered', text: (phase) => format.recovery(phase) },
];

/** What the columns mean. */
export const legend: readonly string[] = [
  `served     orders acknowledged within ${patience / 1_000} s, after which the customer has gone`,
  'goodput    the same per second; fresh: of these, at a price of the moment, not the last known one',
  'p50, p99   time until the customer has an answer, good or bad',
  'tries      requests that reached the price service, and the inventory service, per order',
  'kept       orders whose events went into the outbox, to be sent later',
  'sockets    most connections open; memory: most resident memory; both of the order service alone',
  `recovered  time after the fault until 95 % of the orders of a second are acknowledged within ${prompt / 1_000} s`,
  '           at a fresh price',
];

/** Each phase with both runs, one below the other. */
export function figuresTable(unprotected: Measured, guarded: Measured): string {
  const table = new CliTable({
    head: ['phase', '', ...columns.map(({ title }) => title)],
    colAligns: ['left', 'left', ...columns.map(() => 'right' as const)],
    style: {
      head: colors.isColorSupported ? ['bold'] : [],
      border: colors.isColorSupported ? ['gray'] : [],
      compact: true,
    },
  });
  unprotected.figures.forEach((bare, index) => {
    const own = guarded.figures[index];
    if (own === undefined) return;
    table.push([bare.title, 'unprotected', ...columns.map(({ text }) => text(bare))]);
    table.push([
      '',
      colors.cyan('protected'),
      ...columns.map(({ text }) => colors.cyan(text(own))),
    ]);
  });
  return table.toString();
}

/** What became of all orders of a run, a line for each of the books. */
export function ledgerLines({ record }: Measured): string[] {
  const { ledger, outcomes } = record;
  const failed = outcomes.filter((outcome) => outcome?.acknowledged === false).length;
  const unanswered = outcomes.filter((outcome) => outcome === undefined).length;
  const late = ledger.acknowledged - outcomes.filter(isServed).length;
  const told = outcomes.filter((outcome) => outcome?.acknowledged);
  const stale = told.filter((outcome) => !outcome?.fresh).length;
  const kept = told.filter((outcome) => outcome?.kept).length;
  const { orders, reservations, events } = ledger;
  return [
    `${outcomes.length} orders: ${ledger.acknowledged} acknowledged (${late} too late, ${stale} at the last known price, ${kept} by way of the outbox), ${failed} failed, ${unanswered} never answered`,
    `rows in PostgreSQL: ${bookText(orders)}; ${ledger.rewritten} saved by a second attempt`,
    `reservations of stock: ${bookText(reservations)}`,
    ...(events === undefined
      ? []
      : [
          `messages in Kafka, orders: ${bookText(events.orders)}`,
          `messages in Kafka, shipments: ${bookText(events.shipments)}`,
          `${ledger.halfDone} orders in the database that lack a message; ${ledger.kept} messages left in the outbox`,
        ]),
  ];
}

function bookText({ lost, doubled, wrong, unacknowledged }: Book): string {
  return `${lost.length} of the acknowledged lost, ${doubled.length} doubled, ${wrong.length} wrong, ${unacknowledged} that nobody was told of`;
}

/** A claim as a line. */
export function claimLine({ held, text, measured }: Claim): string {
  const mark = held ? colors.green('✔') : colors.red('✘');
  return `${mark} ${text}: ${held ? measured : colors.red(measured)}`;
}
