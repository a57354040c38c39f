/** The operations kit of a service, written to a folder. */
import { createReadStream } from 'node:fs';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import { BadInputError } from '../bad-input.js';
import type { Inspection } from '../inspection.js';
import { withSettings } from '../landscape.js';
import type { Settings } from '../settings.js';
import { type AlertOptions, alertRules, type RuleFile, runbookFile } from './alerts.js';
import { grafanaDashboard } from './grafana.js';
import { playbooks } from './playbooks.js';
import { postMortem } from './post-mortem.js';
import { dependenciesOf } from './protected-dependency.js';
import { runbook } from './runbook.js';
import { type Timeline, TimelineReader } from './timeline.js';

/** What the kit may be told. */
export interface KitOptions extends AlertOptions {
  /** What the code can't tell. */
  readonly settings?: Settings | undefined;
  /** What happened, for the post-mortem. Default: its places are left open. */
  readonly timeline?: Timeline | undefined;
}

/**
 * The files of a service's kit, by their names: `alerts.yml`, `dashboard.json`, `runbooks/…`,
 * `playbooks/…`, `post-mortem.md`.
 *
 * @throws `BadInputError` for a service without a pipeline that has a name.
 */
export function operationsKit(
  inspection: Inspection,
  options: KitOptions = {},
): Readonly<Record<string, string>> {
  const { settings = {}, timeline, ...alertOptions } = options;
  const service = withSettings(inspection, settings);
  const dependencies = dependenciesOf(service, settings);
  if (dependencies.length === 0) {
    throw new BadInputError(
      `'${service.service}' has no pipeline with a name, by which metrics and alerts could tell it: pipeline('quotes', …), resilient(client, { name: 'quotes' })`,
    );
  }
  const rules = alertRules(service, settings, alertOptions);
  const books = playbooks(service, dependencies);
  return {
    'alerts.yml': alertsYaml(rules, service.service),
    'dashboard.json': `${JSON.stringify(grafanaDashboard(service, settings, alertOptions), null, 2)}\n`,
    ...Object.fromEntries(
      dependencies.map((dependency) => [
        `runbooks/${runbookFile(dependency.name)}`,
        runbook(dependency, service, rules),
      ]),
    ),
    ...Object.fromEntries(Object.entries(books).map(([name, text]) => [`playbooks/${name}`, text])),
    'post-mortem.md': postMortem(service, dependencies, timeline),
  };
}

/** Rules as a file for Prometheus. */
export function alertsYaml(rules: RuleFile, service: string): string {
  const text = stringify(rules, { lineWidth: 0 });
  return `# Alerts of ${service}, from its configuration, by \`resil ops\`. Made anew rather than changed by hand.\n${text}`;
}

/** Writes a kit, and gives the names of its files. */
export async function writeKit(
  files: Readonly<Record<string, string>>,
  folder: string,
): Promise<string[]> {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  return Object.keys(files);
}

/**
 * Reads a log of events.
 *
 * @throws `BadInputError` for a file that can't be read, or that holds no event.
 */
export async function readTimeline(file: string): Promise<Timeline> {
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() !== true) throw new BadInputError(`there is no event log '${file}'`);
  const reader = new TimelineReader();
  for await (const line of createInterface({
    input: createReadStream(file),
    crlfDelay: Infinity,
  })) {
    reader.read(line);
  }
  const timeline = reader.finish();
  if (timeline.events === 0) {
    throw new BadInputError(
      `'${file}' holds no event: one ResilienceEvent as JSON in each line is wanted, as observe((event) => log.write(JSON.stringify(event) + '\\n')) writes it`,
    );
  }
  return timeline;
}
