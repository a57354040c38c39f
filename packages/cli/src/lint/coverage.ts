/** Rules about what is protected at all, and by what. */
import type { FoundClient, InspectedPipeline, Inspection } from '../inspection.js';
import { adapterOf, isClientLibrary, sameLibrary } from './client-libraries.js';
import { has, layersOf } from './layers.js';
import { type FindingOf, perPipeline, type Rule } from './rule.js';

export const hiddenDependency: Rule = {
  id: 'hidden-dependency',
  severity: 'error',
  title: 'a client in use without a pipeline',
  text: "A dependency that nobody thought of takes the service down like any other. Looked for are clients among the exports that no adapter stands before (axios instances, pg pools, gRPC and Kafka clients, Redis, MongoDB, undici, got, the AWS SDK and others with `maxRetries`), and client libraries that the module or a file beneath it imports while no pipeline says that it stands before them. A pipeline of your own around a client says so by `dependency: { client: 'pg' }`.",
  bad: `import axios from 'axios';

export const prices = axios.create({ baseURL: 'http://prices' });
`,
  good: `import { resilient } from '@resil/axios';
import axios from 'axios';

export const prices = resilient(axios.create({ baseURL: 'http://prices' }), { name: 'prices' });
`,
  check: ({ services }) =>
    services.flatMap((service) => {
      const bare = service.clients.filter((client) => !isCovered(client, service));
      const libraries = new Set(bare.map(({ library }) => library));
      return [...bare.map((client) => ofClient(client, service)), ...ofImports(service, libraries)];
    }),
};

/** Whether an adapter stands before it, or a pipeline says that it does. */
function isCovered(client: FoundClient, { pipelines, clients }: Inspection): boolean {
  if (client.protected) return true;
  const wrapped = clients.filter((one) => one.protected && one.library === client.library);
  const own = pipelines.filter(
    ({ dependency }) =>
      dependency.client !== null &&
      sameLibrary(dependency.client, client.library) &&
      !wrapped.some(({ target }) => target !== null && target === dependency.target),
  );
  return own.some(
    ({ dependency: { target } }) =>
      target === null || client.target === null || target === client.target,
  );
}

function ofClient({ library, path, target }: FoundClient, service: Inspection): FindingOf {
  const adapter = adapterOf(library);
  return {
    service: service.service,
    place: path,
    why: `a client of ${library}${target === null ? '' : ` for ${target}`} is exported, and no pipeline stands before it: no timeout, no breaker, no bulkhead of ours`,
    figures: { pipelines: 0 },
    fix:
      adapter === undefined
        ? `call it through a pipeline with dependency: { client: '${library}' }`
        : `wrap it: resilient(client) of ${adapter}`,
  };
}

/** Libraries that are imported, and that no pipeline and no exported client is known of. */
function ofImports(service: Inspection, told: ReadonlySet<string>): FindingOf[] {
  const { imports, pipelines } = service;
  const known = [...told, ...pipelines.flatMap(({ dependency }) => dependency.client ?? [])];
  return imports
    .filter(({ name }) => isClientLibrary(name) && !known.some((one) => sameLibrary(one, name)))
    .map(({ name, files }) => ({
      service: service.service,
      place: name,
      why: `${name} is imported by ${files.length} ${files.length === 1 ? 'file' : 'files'} (${files[0]}), and no pipeline says that it stands before it`,
      figures: { files: files.length, pipelines: 0 },
      fix:
        adapterOf(name) === undefined
          ? `call it through a pipeline with dependency: { client: '${name}' }`
          : `wrap its clients: resilient(client) of ${adapterOf(name)}`,
    }));
}

export const sharedGuard: Rule = {
  id: 'shared-guard',
  severity: 'error',
  title: 'two dependencies in one bulkhead or breaker',
  text: 'A guard that two dependencies share joins their fates: one that is down opens the circuit of the other, one that is slow takes all the places. Guards are told by identity: the same instance in pipelines with different names or targets.',
  bad: `import { bulkhead, pipeline, timeout } from '@resil/core';

const places = bulkhead({ maxConcurrentCalls: 10 });
export const prices = pipeline('prices', places, timeout({ duration: 500 }));
export const stock = pipeline('stock', places, timeout({ duration: 500 }));
`,
  good: `import { bulkhead, pipeline, timeout } from '@resil/core';

const places = () => bulkhead({ maxConcurrentCalls: 10 });
export const prices = pipeline('prices', places(), timeout({ duration: 500 }));
export const stock = pipeline('stock', places(), timeout({ duration: 500 }));
`,
  check: ({ services }) =>
    services.flatMap((service) => {
      const users = new Map<number, InspectedPipeline[]>();
      for (const pipeline of service.pipelines) {
        for (const { id } of pipeline.guards) {
          users.set(id, [...(users.get(id) ?? []), pipeline]);
        }
      }
      return [...users].flatMap(([id, pipelines]) => {
        const destinations = new Set(
          pipelines.map(({ dependency, place }) => dependency.target ?? place),
        );
        if (destinations.size < 2) return [];
        const guard = pipelines[0]?.guards.find((one) => one.id === id);
        return [
          {
            service: service.service,
            place: `${guard?.type} '${guard?.name}'`,
            why: `it stands in ${pipelines.length} pipelines, for ${[...destinations].join(' and ')}: what happens to one of them happens to all`,
            figures: { dependencies: destinations.size },
            fix: 'make one for each dependency',
          },
        ];
      });
    }),
};

export const noFallback: Rule = {
  id: 'no-fallback',
  severity: 'warning',
  title: 'a critical dependency without an answer for when it is away',
  text: 'Where the service cannot do its work without a dependency, somebody must have thought of what it does when that is away: a fallback, a cache that may be stale, a second endpoint, an outbox. Only dependencies that are said to be critical are looked at (`dependency: { critical: true }`, or the settings).',
  bad: `import { circuitBreaker, pipeline, timeout } from '@resil/core';

export const rates = pipeline(
  { name: 'rates', dependency: { critical: true } },
  circuitBreaker({ name: 'rates', failureThreshold: 5 }),
  timeout({ duration: 500 }),
);
`,
  good: `import { circuitBreaker, fallback, pipeline, timeout } from '@resil/core';

export const rates = pipeline(
  { name: 'rates', dependency: { critical: true } },
  fallback(() => ({ rate: 1, stale: true })),
  circuitBreaker({ name: 'rates', failureThreshold: 5 }),
  timeout({ duration: 500 }),
);
`,
  check: perPipeline((pipeline) => {
    const answers = has(pipeline, 'fallback', 'cache', 'failover');
    if (pipeline.dependency.critical !== true || answers) return [];
    return [
      {
        why: 'the dependency is critical, and neither a fallback, a cache nor a failover answers when it is away',
        figures: { answers: 0 },
        fix: 'add a fallback((error, call) => …), a cache that may be stale, or a failover to a second endpoint',
      },
    ];
  }),
};

/** Names that adapters give where none is given. */
const ADAPTER_NAMES = new Set(['axios', 'grpc', 'kafka', 'pg']);

export const unnamedPipeline: Rule = {
  id: 'unnamed-pipeline',
  severity: 'warning',
  title: 'a pipeline that can’t be told from others',
  text: 'Events, metrics, alerts and errors carry the name of the pipeline. One without a name shows up nowhere; two with the same name for different destinations are one in every graph.',
  bad: `import { pipeline, retry, timeout } from '@resil/core';

export const quotes = pipeline(retry({ maxAttempts: 2 }), timeout({ duration: 500 }));
`,
  good: `import { pipeline, retry, timeout } from '@resil/core';

export const quotes = pipeline('quotes', retry({ maxAttempts: 2 }), timeout({ duration: 500 }));
`,
  check: ({ services }) =>
    services.flatMap((service) => [...ofNameless(service), ...ofNamesakes(service)]),
};

function ofNameless({ service, pipelines }: Inspection): FindingOf[] {
  return pipelines
    .filter(({ name }) => name === null)
    .map(({ place, layers }) => ({
      service,
      place,
      why: `it has no name: nothing tells its ${layers.length} layers from others in events and metrics`,
      figures: { layers: layers.length },
      fix: "give it the name of what it stands before: pipeline('quotes', …), resilient(client, { name: 'quotes' })",
    }));
}

function ofNamesakes({ service, pipelines }: Inspection): FindingOf[] {
  const byName = new Map<string, Set<string>>();
  for (const { name, dependency, exportedAs, place } of pipelines) {
    if (name === null) continue;
    const target = dependency.target ?? exportedAs ?? place;
    byName.set(name, (byName.get(name) ?? new Set()).add(target));
  }
  return [...byName]
    .filter(([, targets]) => targets.size > 1)
    .map(([name, targets]) => ({
      service,
      place: name,
      why: `${targets.size} pipelines for different destinations have this name${ADAPTER_NAMES.has(name) ? ', which is the adapter’s own' : ''}: ${[...targets].join(', ')}`,
      figures: { pipelines: targets.size },
      fix: 'give each the name of what it stands before',
    }));
}

export const observedOnly: Rule = {
  id: 'observed-only',
  severity: 'warning',
  title: 'a guard that only observes',
  text: "`mode: 'observe'` lets a guard tell what it would have refused, without refusing it: for a while, to find its numbers. Left in, it protects nothing.",
  bad: `import { circuitBreaker, pipeline, timeout } from '@resil/core';

export const mail = pipeline(
  'mail',
  circuitBreaker({ name: 'mail', failureThreshold: 5, mode: 'observe' }),
  timeout({ duration: 2_000 }),
);
`,
  good: `import { circuitBreaker, pipeline, timeout } from '@resil/core';

export const mail = pipeline(
  'mail',
  circuitBreaker({ name: 'mail', failureThreshold: 5 }),
  timeout({ duration: 2_000 }),
);
`,
  check: perPipeline((pipeline) =>
    layersOf(pipeline, 'circuitBreaker', 'bulkhead', 'rateLimiter', 'throttle')
      .filter(({ layer }) => layer.options.mode === 'observe')
      .map(({ layer }) => ({
        why: `${layer.type} '${layer.name}' is in mode 'observe': it refuses nothing`,
        figures: { enforced: 0 },
        fix: "take mode: 'observe' away when its numbers are right",
      })),
  ),
};
