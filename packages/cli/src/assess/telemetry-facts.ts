/** What a service's telemetry shows: a log of its events, and a Prometheus that scrapes it. */
import { instruments, prometheusLabel, prometheusName } from '@resil/telemetry';
import { BadInputError } from '../bad-input.js';
import type { Timeline } from '../ops/timeline.js';

/** What was seen of a service in operation; what was not asked for is `undefined`. */
export interface TelemetryFacts {
  readonly timeline: Timeline | undefined;
  readonly prometheus: PrometheusFacts | undefined;
}

/** What a Prometheus knows of a service. */
export interface PrometheusFacts {
  /** Names of pipelines that it has series of. */
  readonly pipelines: readonly string[];
  /** Dependencies that it has alerts for. */
  readonly alerted: readonly string[];
}

/** Milliseconds that a Prometheus may take to answer. */
const PATIENCE = 10_000;

/**
 * Asks a Prometheus what it knows.
 *
 * @throws `BadInputError` where it doesn't answer as one.
 */
export async function askPrometheus(url: string): Promise<PrometheusFacts> {
  if (!URL.canParse(url)) throw new BadInputError(`'${url}' is no URL of a Prometheus`);
  const label = prometheusLabel('resil.pipeline');
  const calls = prometheusName(instruments.callsInFlight);
  const query = new URLSearchParams({ query: `count by (${label}) (${calls})` });
  const series = (await ask(url, `query?${query}`)) as {
    result: readonly { metric: Readonly<Record<string, string>> }[];
  };
  const rules = (await ask(url, 'rules?type=alert')) as {
    groups: readonly { rules: readonly { labels?: Readonly<Record<string, string>> }[] }[];
  };
  const alerted = rules.groups.flatMap((group) =>
    group.rules.flatMap(({ labels }) => labels?.dependency ?? []),
  );
  return {
    pipelines: series.result.flatMap(({ metric }) => metric[label] ?? []),
    alerted: [...new Set(alerted)],
  };
}

async function ask(url: string, path: string): Promise<unknown> {
  const at = `${url.replace(/\/$/, '')}/api/v1/${path}`;
  try {
    const answer = await fetch(at, { signal: AbortSignal.timeout(PATIENCE) });
    const { status, data } = (await answer.json()) as { status?: string; data?: unknown };
    if (status === 'success') return data;
    throw new Error(`it answered ${answer.status}`);
  } catch (error) {
    throw new BadInputError(
      `the Prometheus at ${url} can't be asked: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}
