/** Rules about how often a dependency is called for each call of ours. */
import { countText, durationText } from '../duration-text.js';
import type { InspectedPipeline, Inspection } from '../inspection.js';
import type { CallPath, Landscape } from '../landscape.js';
import { sameLibrary } from './client-libraries.js';
import {
  figure,
  has,
  layersOf,
  limitInside,
  limitOutside,
  limitsOf,
  numberOf,
  product,
  productText,
  type Repeater,
  repeatersOf,
} from './layers.js';
import { type FindingOf, perPipeline, type Rule } from './rule.js';

/** Attempts for each call from which a dependency that is down is kept down by who wants it back. */
const STORM = 5;

/** Attempts that reach a dependency which is down, for each call, where nothing bounds them. */
function unbounded(repeaters: readonly Repeater[]): Repeater[] {
  return repeaters.filter(({ bound }) => bound === undefined);
}

export const retryStorm: Rule = {
  id: 'retry-storm',
  severity: 'error',
  title: 'attempts multiply, and nothing bounds them',
  text: `Attempts of nested layers multiply: three of a retry, each of which the client repeats five times, are eighteen, and from service to service it goes on like that. While the dependency is down, every call brings it so many, and it can't come back. Counted are the retries and hedges of a pipeline, the attempts that the client underneath makes by itself, and along the calls from service to service those of each. What has a retry budget, or a circuit breaker further in, is bounded and not counted; neither are services that hand on who retries (\`@resil/context\`). Found from ${STORM} attempts for each call.`,
  bad: `import { pipeline, retry, timeout } from '@resil/core';

export const stock = pipeline(
  { name: 'stock', dependency: { client: 'kafkajs', innerAttempts: 6 } },
  timeout({ duration: 30_000 }),
  retry({ maxAttempts: 3 }),
);
`,
  good: `import { circuitBreaker, pipeline, retry, retryBudget, timeout } from '@resil/core';

export const stock = pipeline(
  { name: 'stock', dependency: { client: 'kafkajs', innerAttempts: 1 } },
  timeout({ duration: 30_000 }),
  retry({ maxAttempts: 3, budget: retryBudget({ ratio: 0.1 }) }),
  circuitBreaker({ name: 'stock', failureThreshold: 5 }),
);
`,
  check: (landscape) => [...stormsInside(landscape), ...stormsAcross(landscape)],
};

const stormsInside = perPipeline((pipeline) => {
  const repeaters = unbounded(repeatersOf(pipeline));
  const attempts = product(repeaters);
  // What the client does alone is the client's, and is told by its own documentation.
  if (attempts < STORM || repeaters.every(({ kind }) => kind === 'client')) return [];
  return [
    {
      why: `each call may reach it ${countText(attempts)} times while it is down: ${productText(repeaters)}, with neither a budget nor a circuit breaker further in`,
      figures: { attempts: figure(attempts), limit: STORM },
      fix: 'repeat in one layer only, give its retry a budget (retryBudget({ ratio: 0.1 })), and put a circuit breaker inside of it',
    },
  ];
});

/** Longest chains first, so that a chain is told once. */
function stormsAcross({ calls }: Landscape): FindingOf[] {
  const found: FindingOf[] = [];
  for (const chain of chainsOf(calls)) {
    const hops = chain.map(({ from, pipeline }) => ({
      from,
      pipeline,
      attempts: product(unbounded(repeatersOf(pipeline))),
    }));
    const repeating = hops.filter(({ attempts }) => attempts > 1);
    const attempts = product(hops);
    if (repeating.length < 2 || attempts < STORM || handsOn(chain)) continue;
    const last = chain.at(-1) as CallPath;
    found.push({
      service: hops[0]?.from.service ?? '',
      place: hops[0]?.pipeline.place ?? '',
      why: `each call of '${hops[0]?.from.service}' may reach '${last.to.service}' ${countText(attempts)} times while that is down: ${repeating
        .map(
          (hop) =>
            `${countText(hop.attempts)} of '${hop.from.service}' for '${hop.pipeline.place}'`,
        )
        .join(' × ')}`,
      figures: { attempts: figure(attempts), services: chain.length, limit: STORM },
      fix: 'give every retry a budget, or hand on who retries with @resil/context, so that only the outermost service repeats',
    });
  }
  return found;
}

/** Services of a chain that all tell one another who retries, and of which the inner ones go by that. */
function handsOn(chain: readonly CallPath[]): boolean {
  const services = chain.map(({ from }) => from);
  const heeds = chain
    .slice(1)
    .every(({ pipeline }) =>
      layersOf(pipeline, 'retry', 'hedge').every(
        ({ layer }) => layer.options.whenNested === 'once',
      ),
    );
  return heeds && services.every(usesContext);
}

/** Whether a service takes and hands on deadline and who retries. */
export function usesContext({ imports }: Inspection): boolean {
  return imports.some(({ name }) => name === '@resil/context');
}

/** Every way through the calls that can't be made longer at its end or its beginning. */
function chainsOf(calls: readonly CallPath[]): CallPath[][] {
  const startsOf = (service: Inspection): CallPath[] =>
    calls.filter(({ from }) => from === service);
  const grow = (chain: CallPath[]): CallPath[][] => {
    const last = chain.at(-1) as CallPath;
    const next = startsOf(last.to).filter(({ to }) => chain.every(({ from }) => from !== to));
    return next.length === 0 ? [chain] : next.flatMap((call) => grow([...chain, call]));
  };
  const called = new Set(calls.map(({ to }) => to));
  const first = calls.filter(({ from }) => !called.has(from));
  return (first.length === 0 ? calls : first).flatMap((call) => grow([call]));
}

export const doubleRetry: Rule = {
  id: 'double-retry',
  severity: 'error',
  title: 'two layers repeat the same call',
  text: 'Retries have one owner. A second one multiplies the attempts, stretches the time beyond what the outer one reckons with, and hides failures from the circuit breaker between the two. Looked for are two retries in one pipeline, a retry over a client that repeats by itself (axios-retry on the instance, a retry policy in the service config of a gRPC channel, kafkajs, got, SDKs with `maxRetries`), and a gRPC channel that takes its service config from DNS, where one may come from.',
  bad: `import { resilient } from '@resil/axios';
import axios from 'axios';
import axiosRetry from 'axios-retry';

const instance = axios.create({ baseURL: 'http://prices' });
axiosRetry(instance, { retries: 3 });

export const prices = resilient(instance, { name: 'prices' });
`,
  good: `import { resilient } from '@resil/axios';
import axios from 'axios';

export const prices = resilient(axios.create({ baseURL: 'http://prices' }), { name: 'prices' });
`,
  check: (landscape) => [...repeatedTwice(landscape), ...repeatedByClients(landscape)],
};

const repeatedTwice = perPipeline((pipeline) => {
  const repeaters = repeatersOf(pipeline).filter(({ kind }) => kind !== 'hedge');
  const attempts = product(repeaters);
  if (repeaters.length > 1) {
    return [
      {
        why: `${repeaters.length} layers repeat each call, ${countText(attempts)} attempts in all: ${productText(repeaters)}`,
        figures: { attempts: figure(attempts), layers: repeaters.length },
        fix: ownerFix(pipeline),
      },
    ];
  }
  const { client, innerAttempts } = pipeline.dependency;
  if (client !== '@grpc/grpc-js' || innerAttempts !== null || attempts === 1) return [];
  return [
    {
      why: `its channel takes a service config from DNS, which may bring up to 5 attempts for each of its ${countText(attempts)}`,
      figures: { attempts: figure(attempts), channel: 5 },
      fix: 'make the client with channelOptions() of @resil/grpc',
    },
  ];
});

function ownerFix({ dependency: { client } }: InspectedPipeline): string {
  if (client === '@grpc/grpc-js')
    return 'make the client with channelOptions() of @resil/grpc, which switches the retries of the channel off';
  if (client === 'kafkajs')
    return 'leave the retries to kafkajs (retry: false), or set retry: { retries: 0 } in its configuration';
  return 'let one of them repeat: retry({ maxAttempts: 1 }) or no retry in the others';
}

/** Clients that repeat by themselves, in a service that has a retry before them. */
const repeatedByClients: Rule['check'] = ({ services }) =>
  services.flatMap((service) =>
    service.clients.flatMap((client) => {
      const { attempts, repeatedBy, library, path } = client;
      // What an adapter stands before tells it by its pipeline, but for what was put into the instance.
      const told = client.protected && repeatedBy !== 'axios-retry';
      if (attempts === null || attempts < 2 || repeatedBy === null || told) return [];
      const before = service.pipelines.filter(
        ({ dependency }) =>
          dependency.client !== null &&
          sameLibrary(dependency.client, library) &&
          dependency.innerAttempts === null,
      );
      const pipeline = client.protected
        ? service.pipelines.find(({ dependency }) => dependency.target === client.target)
        : before.find((one) => repeatersOf(one).length > 0);
      const ours = pipeline === undefined ? 1 : product(repeatersOf(pipeline));
      if (!client.protected && pipeline === undefined) return [];
      return [
        {
          service: service.service,
          place: path,
          why: client.protected
            ? `${repeatedBy} is installed on an instance that resilient() protects; its retries are switched off there, and mislead who reads the code`
            : `${repeatedBy} makes ${attempts} attempts for each of the ${countText(ours)} of '${pipeline?.place}'`,
          figures: { attempts: figure(ours * (client.protected ? 1 : attempts)), client: attempts },
          fix: `take ${repeatedBy} off this client`,
        },
      ];
    }),
  );

export const endlessRetry: Rule = {
  id: 'endless-retry',
  severity: 'error',
  title: 'a retry without an end',
  text: 'A retry with `maxAttempts: Infinity` and no timeout outside of it never gives up unless its caller brings a deadline: calls pile up for as long as the dependency is away, with what each of them holds.',
  bad: `import { circuitBreaker, pipeline, retry, timeout } from '@resil/core';

export const ledger = pipeline(
  'ledger',
  retry({ maxAttempts: Infinity }),
  circuitBreaker({ name: 'ledger', failureThreshold: 5 }),
  timeout({ duration: 1_000 }),
);
`,
  good: `import { circuitBreaker, pipeline, retry, timeout } from '@resil/core';

export const ledger = pipeline(
  'ledger',
  timeout({ duration: 10_000 }),
  retry({ maxAttempts: Infinity }),
  circuitBreaker({ name: 'ledger', failureThreshold: 5 }),
  timeout({ duration: 1_000 }),
);
`,
  check: perPipeline((pipeline) =>
    layersOf(pipeline, 'retry')
      .filter(
        ({ layer, index }) =>
          numberOf(layer, 'maxAttempts') === Infinity && limitOutside(pipeline, index) === Infinity,
      )
      .map(({ layer }) => ({
        why: `retry '${layer.name}' has no last attempt, and no timeout outside of it`,
        figures: { maxAttempts: null, timeout: null },
        fix: 'put a timeout({ duration }) outside of it, or give it a maxAttempts',
      })),
  ),
};

export const noTimeToRetry: Rule = {
  id: 'no-time-to-retry',
  severity: 'warning',
  title: 'no time left for a second attempt',
  text: 'A retry within a total timeout needs time for a second attempt. Where the first one may take nearly all of it, a dependency that hangs is never asked again: the retry helps against errors that come at once, and against nothing else. Found where less than half of the attempt timeout is left for the second attempt.',
  bad: `import { pipeline, retry, timeout } from '@resil/core';

export const rates = pipeline(
  'rates',
  timeout({ duration: 1_000 }),
  retry({ maxAttempts: 3, baseDelay: 100 }),
  timeout({ duration: 800 }),
);
`,
  good: `import { pipeline, retry, timeout } from '@resil/core';

export const rates = pipeline(
  'rates',
  timeout({ duration: 1_000 }),
  retry({ maxAttempts: 3, baseDelay: 50 }),
  timeout({ duration: 300 }),
);
`,
  check: perPipeline((pipeline) =>
    layersOf(pipeline, 'retry').flatMap(({ layer, index }) => {
      const total = limitOutside(pipeline, index);
      const attempt = limitInside(pipeline, index);
      const attempts = numberOf(layer, 'maxAttempts') ?? 1;
      const delay = numberOf(layer, 'baseDelay') ?? 0;
      if (attempts < 2 || total === Infinity || attempt === Infinity) return [];
      const left = Math.max(0, total - attempt - delay);
      if (left >= attempt / 2) return [];
      return [
        {
          why: `an attempt may take ${durationText(attempt)} of ${durationText(total)}; after one that hung ${durationText(left)} are left for the next`,
          figures: { left, attemptTimeout: attempt, totalTimeout: total },
          fix: `make the attempt timeout at most ${durationText(Math.floor((total - delay) / 2))}, or the total timeout at least ${durationText(2 * attempt + delay)}`,
        },
      ];
    }),
  ),
};

export const noTimeout: Rule = {
  id: 'no-timeout',
  severity: 'error',
  title: 'a call may hang for ever',
  text: 'Without a timeout a dependency that takes connections and never answers holds every call, with its memory, its socket and its place in the bulkhead, until all of them are held. A circuit breaker does not help: a call that has not ended is no failure.',
  bad: `import { circuitBreaker, pipeline } from '@resil/core';

export const search = pipeline(
  'search',
  circuitBreaker({ name: 'search', failureThreshold: 5 }),
);
`,
  good: `import { circuitBreaker, pipeline, timeout } from '@resil/core';

export const search = pipeline(
  'search',
  circuitBreaker({ name: 'search', failureThreshold: 5 }),
  timeout({ duration: 2_000 }),
);
`,
  check: perPipeline((pipeline) => {
    const limit = Math.min(Infinity, ...limitsOf(pipeline).map(({ duration }) => duration));
    // A cache or a fallback alone calls nobody that could hang.
    if (limit < Infinity || !has(pipeline, ...CALLING)) return [];
    return [
      {
        why: 'no timeout stands in it: a dependency that never answers holds every call',
        figures: { timeout: null },
        fix: 'put a timeout({ duration }) innermost, for each attempt, and one around all of it',
      },
    ];
  }),
};

/** Layers that only make sense around a call to somebody else. */
const CALLING = [
  'retry',
  'hedge',
  'circuitBreaker',
  'bulkhead',
  'rateLimiter',
  'adaptiveLimiter',
  'throttle',
  'failover',
  'coalesce',
  'cache',
  'fallback',
];

export const unboundedQueueWait: Rule = {
  id: 'unbounded-queue-wait',
  severity: 'error',
  title: 'a queue that may be waited in for ever',
  text: 'A queue without `queueTimeout` and without a timeout outside keeps calls whose callers have gone long ago, and serves them first: what comes out is always late. Bounded waits keep the answers fresh.',
  bad: `import { bulkhead, pipeline, timeout } from '@resil/core';

export const reports = pipeline(
  'reports',
  bulkhead({ maxConcurrentCalls: 5, maxQueueSize: 100, queueTimeout: Infinity }),
  timeout({ duration: 5_000 }),
);
`,
  good: `import { bulkhead, pipeline, timeout } from '@resil/core';

export const reports = pipeline(
  'reports',
  bulkhead({ maxConcurrentCalls: 5, maxQueueSize: 100, queueTimeout: 500 }),
  timeout({ duration: 5_000 }),
);
`,
  check: perPipeline((pipeline) =>
    layersOf(pipeline, 'bulkhead', 'rateLimiter', 'adaptiveLimiter')
      .filter(
        ({ layer, index }) =>
          (numberOf(layer, 'maxQueueSize') ?? 0) > 0 &&
          numberOf(layer, 'queueTimeout') === Infinity &&
          limitOutside(pipeline, index) === Infinity,
      )
      .map(({ layer }) => ({
        why: `${numberOf(layer, 'maxQueueSize')} calls may wait in ${layer.type} '${layer.name}' without an end`,
        figures: { maxQueueSize: numberOf(layer, 'maxQueueSize') ?? 0, queueTimeout: null },
        fix: 'give it a queueTimeout well below what its callers wait, or put a timeout outside',
      })),
  ),
};
