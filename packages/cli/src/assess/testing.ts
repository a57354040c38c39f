/** Criteria of testing: what has been tried before it happens. */
import type { Criterion, Evidence, Measurement } from './criterion.js';
import { found } from './criterion.js';

/** Met if a test's text says something. */
function tests(
  { project }: Evidence,
  passes: (test: { readonly text: string; readonly imports: readonly string[] }) => boolean,
  what: string,
): Measurement {
  return found(
    project.tests.filter(passes).map(({ path }) => path),
    what,
  );
}

/** The criteria of testing. */
export const testingCriteria: readonly Criterion[] = [
  {
    id: 'tests',
    area: 'testing',
    level: 1,
    title: 'there are tests',
    next: 'write one for what the service does when all is well',
    measure: (evidence) => tests(evidence, () => true, 'test'),
  },
  {
    id: 'failures-tested',
    area: 'testing',
    level: 2,
    title: 'tests try what the service does when a dependency fails or refuses',
    next: 'test the failure, the refusal (isRefusal, RESIL_CIRCUIT_OPEN) and the fallback of each dependency',
    measure: (evidence) =>
      tests(
        evidence,
        ({ text }) =>
          /\bRESIL_[A-Z_]+|\bisRefusal\b|\bisResilienceError\b|ECONNREFUSED|\.isolate\(|\bfallback\b/.test(
            text,
          ),
        'test of a failure',
      ),
  },
  {
    id: 'faults-injected',
    area: 'testing',
    level: 3,
    title:
      'faults are injected, and time is virtual, so that tests are quick and the same every time',
    next: 'use faultInjection and VirtualClock of @resil/testing',
    measure: (evidence) =>
      tests(
        evidence,
        ({ text, imports }) =>
          imports.includes('@resil/testing') &&
          /\b(?:VirtualClock|faultInjection|faultScript|FaultInjection)\b/.test(text),
        'test with injected faults or virtual time',
      ),
  },
  {
    id: 'real-faults',
    area: 'testing',
    level: 4,
    title: 'real servers are broken for real: slow, cut off, killed',
    next: 'put faultProxy of @resil/testing before a real server in a test',
    measure: (evidence) =>
      tests(
        evidence,
        ({ text, imports }) =>
          /\bfaultProxy\b|toxiproxy/i.test(text) ||
          imports.some((name) => /^testcontainers|^@testcontainers\//.test(name)) ||
          (/\.kill\(|SIGKILL|\.suspend\(|\.pause\(/.test(text) && /\bstart[A-Z]\w+\(/.test(text)),
        'test with a broken network or server',
      ),
  },
  {
    id: 'drill',
    area: 'testing',
    level: 5,
    title: 'an outage was seen from its beginning to its end: circuits opened, and closed again',
    next: 'hold a drill with a log of events, and name it: --events <ndjson>',
    measure: ({ telemetry: { timeline } }) => {
      if (timeline === undefined) return { met: false, evidence: 'no log of events was given' };
      const whole = timeline.outages.filter(({ closedAt }) => closedAt !== undefined);
      return {
        met: whole.length > 0,
        evidence: `${whole.length} of ${timeline.outages.length} outages in the log came to their end`,
      };
    },
  },
  {
    id: 'load',
    area: 'testing',
    level: 5,
    title: 'the service is tried under more load than it can take, again and again',
    next: 'add a script (soak, load, chaos) with k6, autocannon or the simulation, and run it',
    measure: ({ project }) => {
      const scripts = Object.entries(project.scripts).filter(([name, text]) =>
        /\b(?:soak|load|chaos|stress|k6|autocannon|artillery)\b/.test(`${name} ${text}`),
      );
      return found(
        scripts.map(([name]) => `script '${name}' of package.json`),
        'load or soak test',
      );
    },
  },
  {
    id: 'lessons',
    area: 'testing',
    level: 5,
    title: 'incidents are written down',
    next: 'keep the post-mortems (`resil ops --events`) with the code',
    measure: ({ project }) =>
      found(
        project.postMortems.map(({ path }) => path),
        'post-mortem',
      ),
  },
];
