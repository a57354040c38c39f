/** The operations kit of the protected service: by `resil ops`, from its clients and from the log of its run. */
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import {
  type Inspection,
  inspect,
  operationsKit,
  readSettings,
  readTimeline,
  writeKit,
} from '@resil/cli';
import { PrometheusUnavailableError, promtool } from '@resil/testbed';
import { mainFile } from './main-file.js';

/** What the service is called by those who run it. */
export const serviceName = 'order-service';

/**
 * How much shorter windows and waits of the alerts are that Prometheus evaluates during the run: outages last
 * seconds here. The alert of an open circuit waits 1.5 s instead of 30 s, and ends 3 s instead of a minute
 * after the circuit has closed.
 */
export const drillScale: number = 1 / 20;

/** Name of the rules that Prometheus evaluates during the run, in the folder of the kit. */
const DRILL_RULES = 'alerts-of-the-demo.yml';

const folderOfDemo = fileURLToPath(new URL('..', import.meta.url));

/** A kit that was written. */
export interface WrittenKit {
  readonly folder: string;
  /** Its files, by their names in the folder. */
  readonly files: readonly string[];
  /** What promtool says of the rules. */
  readonly rules: string;
}

/** The clients of the protected service, looked at without its servers. */
export async function protectedService(kafka: boolean): Promise<Inspection> {
  const module = fileURLToPath(mainFile('resilience.js'));
  const service = await inspect(module, { service: serviceName });
  if (kafka) return service;
  return { ...service, pipelines: service.pipelines.filter(({ name }) => name !== 'events') };
}

/** The rules that Prometheus evaluates during the run. */
export async function drillRules(service: Inspection): Promise<string> {
  const settings = await readSettings(undefined, folderOfDemo);
  return operationsKit(service, { settings, timeScale: drillScale })['alerts.yml'] as string;
}

/** Writes the kit, its post-mortem filled from the log, and has promtool look at its rules. */
export async function writeOperationsKit(
  service: Inspection,
  folder: string,
  eventLog: string,
): Promise<WrittenKit> {
  const settings = await readSettings(undefined, folderOfDemo);
  const timeline = await readTimeline(eventLog);
  const kit = operationsKit(service, { settings, timeline });
  await mkdir(folder, { recursive: true });
  const files = await writeKit({ ...kit, [DRILL_RULES]: await drillRules(service) }, folder);
  return { folder, files, rules: await checked(folder, ['alerts.yml', DRILL_RULES]) };
}

async function checked(folder: string, files: readonly string[]): Promise<string> {
  try {
    const { ok, output } = await promtool(['check', 'rules', ...files], folder);
    const found = [...output.matchAll(/SUCCESS: (\d+) rules found/g)].map(([, count]) => count);
    if (!ok) throw new Error(`promtool does not take the rules: ${output}`);
    return `promtool takes the rules: ${found.join(' and ')} of them`;
  } catch (error) {
    if (!(error instanceof PrometheusUnavailableError)) throw error;
    return 'the rules were not checked by promtool, which could not be had';
  }
}
