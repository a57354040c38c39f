/**
 * The demo: the same order service, under the same load and the same faults, first with plain clients,
 * then with protected ones. One run after the other, so that neither disturbs the other.
 *
 * Exit code: 0 if the protected run keeps what README.md claims; 1 if not, or if the demo could not be
 * carried out; 2 for wrong arguments; 130 after Ctrl-C.
 */
import { arch, cpus, platform } from 'node:os';
import { parseArgs } from 'node:util';
import { PostgresUnavailableError } from '@resil/testbed';
import { Listr } from 'listr2';
import colors from 'picocolors';
import { claimsOf, ledgerClaim, type Measured } from './claims.js';
import { figuresOf } from './figures.js';
import { ProgressText } from './progress.js';
import { reportFile, writeReport } from './report.js';
import { type RunWatcher, run } from './run.js';
import { type Scenario, scenario } from './scenario.js';
import { claimLine, figuresTable, ledgerLine, legend } from './table.js';

const USAGE = `npm run demo -- [--short] [--seed <number>] [--report <file>]

  --short    a few seconds per run, for a first look; checks the books only (also DEMO_SPEED=short)
  --seed     another load: when orders arrive, and for what
  --report   where the HTML report goes
`;

interface Settings {
  readonly scenario: Scenario;
  readonly report: string;
}

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
    if (!values.help) {
      const { short, seed, report } = values;
      return { scenario: scenario({ short, seed: Number(seed) }), report };
    }
    console.log(USAGE);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exitCode = 2;
  }
  return undefined;
}

async function demo({ scenario, report }: Settings, signal: AbortSignal): Promise<void> {
  const live =
    process.stdout.isTTY === true && process.stdout.columns > 0 && process.env.CI !== 'true';
  const seconds = Math.round((scenario.end * 2) / 1_000);
  console.log(
    `\nAn order service fetches a price over HTTP (axios) and writes the order to PostgreSQL (pg).\n` +
      `Both servers are real and are being broken; about ${seconds} s in two runs, one after the other.\n`,
  );
  const results: { unprotected?: Measured; guarded?: Measured } = {};
  const measure = async (isProtected: boolean, task: { output: string }): Promise<Measured> => {
    const text = new ProgressText(scenario);
    const watcher: RunWatcher = {
      onStep: (message) => {
        task.output = message;
      },
      onProgress: (progress) => {
        if (live) task.output = text.live(progress);
      },
      onPhase: (phase, progress) => {
        const line = text.phase(phase, progress);
        task.output = live ? text.live(progress) : line;
      },
    };
    const record = await run({ protected: isProtected, scenario, watcher, signal });
    return { record, figures: figuresOf(record) };
  };
  const tasks = new Listr(
    [
      {
        title: 'unprotected: plain axios, plain pg pool',
        task: async (_, task) => {
          results.unprotected = await measure(false, task);
        },
      },
      {
        title: 'protected: resilient(axios), resilient(pool)',
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
  await conclude(unprotected, guarded, report);
}

async function conclude(unprotected: Measured, guarded: Measured, report: string): Promise<void> {
  const { short } = guarded.record.scenario;
  const claims = short ? [ledgerClaim(guarded)] : claimsOf(unprotected, guarded);
  console.log(`\n${figuresTable(unprotected, guarded)}\n${colors.gray(legend.join('\n'))}\n`);
  console.log(`unprotected  ${ledgerLine(unprotected)}`);
  console.log(`protected    ${ledgerLine(guarded)}\n`);
  for (const claim of claims) console.log(claimLine(claim));
  const machine = `Node ${process.version}, ${cpus().length} CPUs, ${platform()} ${arch()}`;
  const file = await writeReport(report, { unprotected, guarded, claims, machine });
  console.log(`\nThe curves are in ${colors.underline(file)}`);
  if (claims.every(({ held }) => held)) return;
  console.error(colors.red('\nThe protected run did not keep what it claims.'));
  process.exitCode = 1;
}

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => interrupted.abort(new Error('interrupted')));
}

if (process.channel) {
  process.on('disconnect', () => interrupted.abort(new Error('interrupted')));
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
