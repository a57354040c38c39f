/**
 * The demo: the same order service, under the same load and the same faults, first with plain clients,
 * then with protected ones. One run after the other, so that neither disturbs the other.
 *
 * Exit code: 0 if the protected run keeps what README.md claims; 1 if not, or if the demo could not be
 * carried out; 2 for wrong arguments; 130 after Ctrl-C.
 */
import { arch, cpus, platform } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { PostgresUnavailableError } from '@resil/testbed';
import { Listr } from 'listr2';
import colors from 'picocolors';
import { alertLines } from './alerts.js';
import { claimsOf, ledgerClaims, type Measured } from './claims.js';
import { figuresOf } from './figures.js';
import { KafkaSource, withoutKafka } from './kafka-source.js';
import { Operations, withoutPrometheus } from './operations.js';
import { drillScale, type WrittenKit } from './operations-kit.js';
import { ProgressText } from './progress.js';
import { reportFile, writeReport } from './report.js';
import { type RunWatcher, run } from './run.js';
import { type Scenario, scenario } from './scenario.js';
import { claimLine, figuresTable, ledgerLines, legend } from './table.js';

const USAGE = `npm run demo -- [--short] [--seed <number>] [--report <file>]

  --short    a few seconds per run, for a first look; checks the books only (also DEMO_SPEED=short)
  --seed     another load: when orders arrive, and for what
  --report   where the HTML report goes; the operations kit goes into the folder ops beside it
`;

interface Settings {
  readonly short: boolean;
  readonly seed: number;
  readonly report: string;
}

/** Seconds that servers take to start and the books to be read, in each run; for people. */
const AROUND_RUN = 25;

function settings(): Settings | undefined {
  try {
    const { values } = parseArgs({
      options: {
        short: { type: 'boolean', default: process.env.DEMO_SPEED === 'short' },
        seed: { type: 'string', default: '1' },
        report: { type: 'string', default: reportFile },
        help: { type: 'boolean', default: false },
      },
    });
    if (!/^\d+$/.test(values.seed)) throw new Error(`--seed ${values.seed}: must be a number`);
    if (!values.help) return { ...values, seed: Number(values.seed) };
    console.log(USAGE);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exitCode = 2;
  }
  return undefined;
}

/** Beside the report. */
function kitFolder(report: string): string {
  return join(dirname(resolve(report)), 'ops');
}

async function demo(settings: Settings, signal: AbortSignal): Promise<void> {
  const operations = await Operations.start(kitFolder(settings.report));
  try {
    await show(settings, operations, signal);
  } finally {
    await operations.close();
  }
}

async function show(
  { short, seed, report }: Settings,
  operations: Operations,
  signal: AbortSignal,
): Promise<void> {
  const live =
    process.stdout.isTTY === true && process.stdout.columns > 0 && process.env.CI !== 'true';
  const kafka = new KafkaSource();
  const planned = (): Scenario => scenario({ short, seed, kafka: kafka.missing === undefined });
  const minutes = Math.ceil((planned().end * 2) / 1_000 / 30 + (AROUND_RUN * 2) / 30) / 2;
  console.log(
    '\nFor each order a service fetches a price over HTTP (axios), reserves stock by gRPC (grpc-js), writes a\n' +
      'row to PostgreSQL (pg) and sends two messages to Kafka (kafkajs). The servers are real and are being\n' +
      `broken; about ${minutes} minutes in two runs, one after the other.\n\n` +
      `Live dashboard of the protected run, while it lasts: ${colors.underline(operations.url)}\n`,
  );
  const measure = async (isProtected: boolean, task: { output: string }): Promise<Measured> => {
    const onStep = (message: string): void => {
      task.output = message;
    };
    const cluster = await kafka.start(onStep, isProtected);
    try {
      const text = new ProgressText(planned());
      const watcher: RunWatcher = {
        onStep,
        onProgress: (progress) => {
          if (live) task.output = text.live(progress);
        },
        onPhase: (phase, progress) => {
          const line = text.phase(phase, progress);
          task.output = live ? text.live(progress) : line;
        },
      };
      const options = { protected: isProtected, scenario: planned(), cluster, watcher, signal };
      const record = await run(isProtected ? { ...options, operations } : options);
      return { record, figures: figuresOf(record) };
    } finally {
      await cluster?.close();
    }
  };
  const results: { unprotected?: Measured; guarded?: Measured } = {};
  const tasks = new Listr(
    [
      {
        title: 'unprotected: plain axios, grpc-js client, pg pool, kafkajs producer',
        task: async (_, task) => {
          results.unprotected = await measure(false, task);
        },
      },
      {
        title: 'protected: the same, each by resilient(…)',
        task: async (_, task) => {
          results.guarded = await measure(true, task);
        },
      },
    ],
    {
      registerSignalListeners: false,
      ...(live ? {} : { renderer: 'simple' as const }),
    },
  );
  await tasks.run();
  const { unprotected, guarded } = results;
  if (unprotected === undefined || guarded === undefined) throw new Error('a run is missing');
  const kit = await operations.writeKit();
  const missing = [
    ...(kafka.missing === undefined ? [] : [withoutKafka(kafka.missing)]),
    ...(operations.missing === undefined ? [] : [withoutPrometheus(operations.missing)]),
  ];
  await conclude(unprotected, guarded, { report, kit, missing });
}

/** What the end is told of beside the runs. */
interface Conclusion {
  readonly report: string;
  readonly kit: WrittenKit;
  /** What could not be shown, and why. */
  readonly missing: readonly string[];
}

async function conclude(
  unprotected: Measured,
  guarded: Measured,
  { report, kit, missing }: Conclusion,
): Promise<void> {
  const { short } = guarded.record.scenario;
  const claims = short ? ledgerClaims(unprotected, guarded) : claimsOf(unprotected, guarded);
  console.log(`\n${figuresTable(unprotected, guarded)}\n${colors.gray(legend.join('\n'))}\n`);
  console.log(`unprotected  ${ledgerLines(unprotected).join('\n             ')}`);
  console.log(`protected    ${ledgerLines(guarded).join('\n             ')}\n`);
  for (const claim of claims) console.log(claimLine(claim));
  showAlerts(guarded);
  const machine = `Node ${process.version}, ${cpus().length} CPUs, ${platform()} ${arch()}`;
  for (const text of missing) console.log(colors.yellow(`\n${text}`));
  const file = await writeReport(report, { unprotected, guarded, claims, missing, machine });
  console.log(`\nThe curves are in ${colors.underline(file)}`);
  console.log(`The operations kit of the protected service is in ${colors.underline(kit.folder)}`);
  console.log(colors.gray(`  ${[...kit.files, 'events.ndjson'].join('\n  ')}\n  ${kit.rules}`));
  if (claims.every(({ held }) => held)) return;
  console.error(colors.red('\nThe protected run did not keep what it claims.'));
  process.exitCode = 1;
}

/** What Prometheus saw, if there was one. */
function showAlerts({ record }: Measured): void {
  if (record.alerts === undefined) return;
  console.log(
    `\nAlerts that Prometheus raised in the protected run (windows and waits are ${Math.round(1 / drillScale)} times shorter\n` +
      'than in alerts.yml, for outages of seconds):',
  );
  const lines = alertLines(record);
  console.log(lines.length === 0 ? '  none' : `  ${lines.join('\n  ')}`);
}

/** Milliseconds in which all servers are stopped in order; one that is being started may take longer. */
const ORDERLY_END = 5_000;

const interrupted = new AbortController();
function interrupt(): void {
  if (interrupted.signal.aborted) return;
  interrupted.abort(new Error('interrupted'));
  // What is left then ends by itself: every server watches for the end of this process.
  setTimeout(() => process.exit(130), ORDERLY_END).unref();
}
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupt);

if (process.channel) {
  process.on('disconnect', interrupt);
  // To be told of the end of whoever started this is no reason to go on.
  process.channel.unref();
}

const chosen = settings();
if (chosen !== undefined) {
  try {
    await demo(chosen, interrupted.signal);
  } catch (error) {
    if (interrupted.signal.aborted) {
      console.error('\nInterrupted; all servers are stopped.');
      process.exitCode = 130;
    } else if (error instanceof PostgresUnavailableError) {
      console.error(`\nThe demo needs a PostgreSQL server of its own. ${error.message}`);
      process.exitCode = 1;
    } else {
      console.error(error);
      process.exitCode = 1;
    }
  }
}
