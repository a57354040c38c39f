/** The commands, their options, and what comes out: text or JSON, and an exit code. */
import path from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { type Assessment, assess } from './assess/assess.js';
import { assessmentText, levelsMarkdown } from './assess/report.js';
import { askPrometheus } from './assess/telemetry-facts.js';
import { BadInputError } from './bad-input.js';
import { inspect } from './inspect.js';
import type { Inspection } from './inspection.js';
import { lint } from './lint/lint.js';
import { findingsText, rulesMarkdown, ruleText } from './lint/report.js';
import { ruleOf, rules } from './lint/rules.js';
import { operationsKit, readTimeline, writeKit } from './ops/kit.js';
import { readSettings, type Settings } from './settings.js';
import { colorsOf, type Terminal } from './terminal.js';
import { Board } from './top/board.js';
import { screenLines } from './top/screen.js';
import { showTop } from './top/top.js';
import { readSnapshot } from './top/watch.js';

/** What a command ends with. */
export const exitCodes: {
  /** Nothing was found, all was written. */
  readonly fine: 0;
  /** Something was found. */
  readonly findings: 1;
  /** What was given can't be worked with. */
  readonly badInput: 2;
} = Object.freeze({ fine: 0, findings: 1, badInput: 2 });

/** Runs a command line, without the program's name, and gives its exit code. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode: number = exitCodes.fine;
  const program = programOf(terminal, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    // Help and version end by an error too, which is none.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.badInput;
    if (!(error instanceof BadInputError)) throw error;
    terminal.err(`resil: ${error.message}\n`);
    return exitCodes.badInput;
  }
}

type End = (code: number) => void;

function programOf(terminal: Terminal, end: End): Command {
  const program = new Command('resil')
    .description("Looks at a service's resilience.")
    .exitOverride()
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err })
    .addHelpText(
      'after',
      '\nExit codes: 0 fine, 1 something was found, 2 what was given can’t be worked with.',
    );
  addLint(program, terminal, end);
  addExplain(program, terminal);
  addOps(program, terminal);
  addAssess(program, terminal, end);
  addTop(program, terminal);
  return program;
}

/** Options that every command on modules has. */
function moduleOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--config <file>', 'settings (default: resil.config.json, if it is there)'),
    )
    .addOption(
      new Option('--load-timeout <ms>', 'milliseconds that a module may take to load')
        .default(20_000)
        .argParser(Number),
    )
    .option('--json', 'machine-readable output');
}

interface ModuleOptions {
  readonly config?: string;
  readonly loadTimeout: number;
  readonly json?: boolean;
}

/** Loads modules, one after the other: a service each. */
async function inspectAll(
  modules: readonly string[],
  options: ModuleOptions,
  terminal: Terminal,
): Promise<{ inspections: Inspection[]; settings: Settings }> {
  if (!(options.loadTimeout > 0)) {
    throw new BadInputError('--load-timeout must be a number of milliseconds above 0');
  }
  const settings = await readSettings(options.config, terminal.cwd);
  const named = modules.length > 0 ? modules.map(parsed) : Object.entries(settings.services ?? {});
  if (named.length === 0) {
    throw new BadInputError("no module is given, and the settings name no 'services'");
  }
  const inspections: Inspection[] = [];
  for (const [service, module] of named) {
    const { loadTimeout } = options;
    const inspection = await inspect(module, { service, loadTimeout, cwd: terminal.cwd });
    for (const note of inspection.notes) terminal.err(`resil: ${inspection.service}: ${note}\n`);
    inspections.push(inspection);
  }
  return { inspections: distinct(inspections), settings };
}

/** `orders=dist/orders.js` names the service. */
function parsed(argument: string): [string | undefined, string] {
  const match = /^([\w.-]+)=(.+)$/.exec(argument);
  return match === null ? [undefined, argument] : [match[1], match[2] as string];
}

/** Two services of one name can't be told apart. */
function distinct(inspections: Inspection[]): Inspection[] {
  const names = new Set<string>();
  for (const { service } of inspections) {
    if (names.has(service)) {
      throw new BadInputError(
        `two modules are taken for the service '${service}'; name them: ${service}=module.js`,
      );
    }
    names.add(service);
  }
  return inspections;
}

interface LintCommandOptions extends ModuleOptions {
  readonly rule?: string[];
  readonly ignore?: string[];
}

function addLint(program: Command, terminal: Terminal, end: End): void {
  moduleOptions(program.command('lint'))
    .description('finds what will fail: retry storms, timeouts that cascade, hidden dependencies')
    .argument(
      '[module...]',
      'built modules, one for each service: dist/clients.js, orders=dist/a.js',
    )
    .option('--rule <id...>', 'ask these rules only')
    .option('--ignore <id...>', "leave these findings out: 'rule' or 'rule@place'")
    .addHelpText(
      'after',
      `
Examples:
  resil lint dist/clients.js
  resil lint orders=orders/dist/clients.js prices=prices/dist/clients.js
  resil lint dist/clients.js --ignore no-fallback@mail --json

Each module is loaded in a process of its own, which ends at once; name one that makes the clients
without running the service. Exit codes: 0 nothing found, 1 something found, 2 bad input.`,
    )
    .action(async (modules: string[], options: LintCommandOptions) => {
      // A typo is told before anything is loaded.
      for (const id of options.rule ?? []) ruleOf(id);
      const { inspections, settings } = await inspectAll(modules, options, terminal);
      const findings = lint(inspections, {
        rules: options.rule,
        ignore: options.ignore,
        settings,
      });
      const text =
        options.json === true
          ? `${JSON.stringify({ findings }, null, 2)}\n`
          : findingsText(findings, colorsOf(terminal));
      terminal.out(text);
      end(findings.length === 0 ? exitCodes.fine : exitCodes.findings);
    });
}

interface OpsOptions extends ModuleOptions {
  readonly out: string;
  readonly events?: string;
  readonly selector?: string;
  readonly timeScale: number;
}

function addOps(program: Command, terminal: Terminal): void {
  moduleOptions(program.command('ops'))
    .description('writes alert rules, a dashboard, runbooks, playbooks and a post-mortem template')
    .argument('[module...]', 'built modules, one for each service')
    .requiredOption(
      '--out <dir>',
      'folder that the files go to; of several services, one in it each',
    )
    .option('--events <ndjson>', 'log of events that the post-mortem is filled with')
    .option('--selector <matchers>', 'matchers that all series must have: \'job="orders"\'')
    .addOption(
      new Option('--time-scale <factor>', 'factor on all windows and waits of alerts, for drills')
        .default(1)
        .argParser(Number),
    )
    .addHelpText(
      'after',
      `
Examples:
  resil ops dist/clients.js --out ops
  resil ops dist/clients.js --out ops --selector 'job="orders"'
  resil ops dist/clients.js --out incident-7 --events incident-7.ndjson

Writes alerts.yml (Prometheus), dashboard.json (Grafana), runbooks/*.md, playbooks/*.md and
post-mortem.md, over what is there. Exit codes: 0 written, 2 bad input.`,
    )
    .action(async (modules: string[], options: OpsOptions) => {
      const { timeScale, selector, events } = options;
      if (!(timeScale > 0 && timeScale < Infinity)) {
        throw new BadInputError('--time-scale must be a number above 0');
      }
      const { inspections, settings } = await inspectAll(modules, options, terminal);
      const timeline =
        events === undefined ? undefined : await readTimeline(path.resolve(terminal.cwd, events));
      const written: string[] = [];
      for (const inspection of inspections) {
        const own =
          inspections.length === 1 ? options.out : path.join(options.out, inspection.service);
        const kit = operationsKit(inspection, { settings, timeline, selector, timeScale });
        const names = await writeKit(kit, path.resolve(terminal.cwd, own));
        written.push(...names.map((name) => path.join(own, name)));
      }
      terminal.out(
        options.json === true
          ? `${JSON.stringify({ written }, null, 2)}\n`
          : written.map((name) => `${name}\n`).join(''),
      );
    });
}

function addExplain(program: Command, terminal: Terminal): void {
  program
    .command('explain')
    .description('tells what a rule of lint finds, why that is bad, and what to do')
    .argument('[rule]', 'id of the rule; without one all are listed')
    .option('--all', 'all that is to be said of all rules, as Markdown')
    .option('--json', 'machine-readable output')
    .addHelpText('after', '\nExamples:\n  resil explain\n  resil explain retry-storm')
    .action((id: string | undefined, options: { all?: boolean; json?: boolean }) => {
      const colors = colorsOf(terminal);
      const asked = id === undefined ? rules : [ruleOf(id)];
      if (options.json === true) {
        const told = asked.map(({ check: _check, ...rule }) => rule);
        terminal.out(`${JSON.stringify(id === undefined ? told : told[0], null, 2)}\n`);
      } else if (options.all === true) terminal.out(rulesMarkdown(asked));
      else if (id !== undefined) terminal.out(ruleText(ruleOf(id), colors));
      else {
        const width = Math.max(...rules.map((rule) => rule.id.length));
        for (const rule of rules) {
          terminal.out(`${colors.bold(rule.id.padEnd(width))}  ${rule.title}\n`);
        }
      }
    });
}

interface AssessCommandOptions extends ModuleOptions {
  readonly events?: string;
  readonly prometheus?: string;
  readonly minLevel?: number;
  readonly levels?: boolean;
}

function addAssess(program: Command, terminal: Terminal, end: End): void {
  moduleOptions(program.command('assess'))
    .description('tells how mature a service is, by what is measured, and what the next step is')
    .argument('[module...]', 'built modules, one for each service')
    .option('--events <ndjson>', 'log of events of an outage or a drill')
    .option('--prometheus <url>', 'Prometheus that scrapes the service')
    .addOption(new Option('--min-level <level>', 'end with 1 below this level').argParser(Number))
    .option('--levels', 'all levels and criteria, as Markdown')
    .addHelpText(
      'after',
      `
Examples:
  resil assess dist/clients.js
  resil assess dist/clients.js --events drill.ndjson --prometheus http://localhost:9090
  resil assess dist/clients.js --min-level 3

Exit codes: 0 assessed, 1 below --min-level, 2 bad input.`,
    )
    .action(async (modules: string[], options: AssessCommandOptions) => {
      if (options.levels === true) return terminal.out(levelsMarkdown());
      const { events, prometheus, minLevel = 0 } = options;
      if (!Number.isInteger(minLevel) || minLevel < 0 || minLevel > 5) {
        throw new BadInputError('--min-level must be a whole number from 1 to 5');
      }
      const { inspections, settings } = await inspectAll(modules, options, terminal);
      const telemetry = {
        timeline:
          events === undefined ? undefined : await readTimeline(path.resolve(terminal.cwd, events)),
        prometheus: prometheus === undefined ? undefined : await askPrometheus(prometheus),
      };
      const assessments: Assessment[] = [];
      for (const inspection of inspections) {
        assessments.push(await assess(inspection, { settings, telemetry }));
      }
      const colors = colorsOf(terminal);
      terminal.out(
        options.json === true
          ? `${JSON.stringify({ assessments }, null, 2)}\n`
          : assessments.map((assessment) => assessmentText(assessment, colors)).join(''),
      );
      if (assessments.some(({ level }) => level < minLevel)) end(exitCodes.findings);
    });
}

function addTop(program: Command, terminal: Terminal): void {
  program
    .command('top')
    .description('shows the dashboard of a running service (@resil/dashboard) in the terminal')
    .argument('<url>', 'where the dashboard is mounted')
    .option('--once', 'shows it once, and ends; so it does where there is no screen')
    .option('--json', 'the snapshot as JSON, once')
    .option('--header <header...>', "sent along: 'authorization: Bearer …'")
    .addHelpText(
      'after',
      `
Examples:
  resil top http://localhost:4000
  resil top https://orders.internal/resilience --header "authorization: Bearer $TOKEN"
  resil top http://localhost:4000 --once

Keys: q ends it, up and down move the table. Exit codes: 0 seen, 2 no dashboard there.`,
    )
    .action(async (url: string, options: TopOptions) => {
      const source = { url: checkedUrl(url), headers: headersOf(options.header ?? []) };
      const { screen } = terminal;
      if (options.once !== true && options.json !== true && screen !== undefined) {
        return showTop(source, terminal, screen);
      }
      const snapshot = await readSnapshot(source);
      if (options.json === true) return terminal.out(`${JSON.stringify(snapshot, null, 2)}\n`);
      const size = { columns: screen?.columns ?? 120, rows: Infinity };
      const lines = screenLines(new Board(snapshot), size, { offset: 0 }, colorsOf(terminal));
      terminal.out(`${lines.join('\n')}\n`);
    });
}

interface TopOptions {
  readonly once?: boolean;
  readonly json?: boolean;
  readonly header?: string[];
}

function checkedUrl(url: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw new BadInputError(`'${url}' is no URL of a dashboard: http://localhost:4000 is one`);
}

function headersOf(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((header) => {
      const match = /^([\w-]+):\s*(.+)$/.exec(header);
      // What was meant may be a secret, and is not repeated.
      if (match === null) throw new BadInputError("--header must be 'name: value'");
      return [match[1] as string, match[2] as string];
    }),
  );
}
