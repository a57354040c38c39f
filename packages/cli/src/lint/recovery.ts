/** Rules about how a dependency is found to be back. */
import { durationText, shareText } from '../duration-text.js';
import type { InspectedPipeline } from '../inspection.js';
import { layersOf, limitsOf, numberOf } from './layers.js';
import { perPipeline, type Rule } from './rule.js';

export const resetBeforeRestart: Rule = {
  id: 'reset-before-restart',
  severity: 'warning',
  title: 'a breaker that probes before the dependency can be back',
  text: 'A breaker whose `resetTimeout` is shorter than the time that the dependency takes to restart sends its probes to a server that is starting: each of them fails, some of them slowly, and the first connections hit it while its caches are cold. The time to restart is told by `dependency: { restartDuration }`, or by the settings.',
  bad: `import { circuitBreaker, pipeline, timeout } from '@resil/core';

export const search = pipeline(
  { name: 'search', dependency: { restartDuration: 20_000 } },
  circuitBreaker({ name: 'search', failureThreshold: 5, resetTimeout: 1_000 }),
  timeout({ duration: 500 }),
);
`,
  good: `import { circuitBreaker, pipeline, timeout } from '@resil/core';

export const search = pipeline(
  { name: 'search', dependency: { restartDuration: 20_000 } },
  circuitBreaker({ name: 'search', failureThreshold: 5, resetTimeout: 20_000 }),
  timeout({ duration: 500 }),
);
`,
  check: perPipeline((pipeline) => {
    const { restartDuration } = pipeline.dependency;
    if (restartDuration === null) return [];
    return layersOf(pipeline, 'circuitBreaker').flatMap(({ layer }) => {
      const reset = numberOf(layer, 'resetTimeout');
      if (reset === undefined || reset >= restartDuration) return [];
      const probes = Math.ceil(restartDuration / reset) - 1;
      return [
        {
          why: `circuit breaker '${layer.name}' probes after ${durationText(reset)}, the dependency takes ${durationText(restartDuration)} to restart: ${probes} ${probes === 1 ? 'round' : 'rounds'} of probes in vain`,
          figures: { resetTimeout: reset, restartDuration, rounds: probes },
          fix: `make resetTimeout ${durationText(restartDuration)}, or let it grow: (openings) => Math.min(${restartDuration}, ${reset} * 2 ** (openings - 1))`,
        },
      ];
    });
  }),
};

export const tooFewProbes: Rule = {
  id: 'too-few-probes',
  severity: 'warning',
  title: 'too few probes to see the failure ratio',
  text: 'A breaker that goes by `failureRatio` applies it to its probes too. With a single probe, or with fewer than `1 / failureRatio`, the ratio can’t be seen: a dependency that still fails as often as would open the circuit gets through by chance, and everybody with it.',
  bad: `import { circuitBreaker, pipeline, timeout } from '@resil/core';

export const images = pipeline(
  'images',
  circuitBreaker({ name: 'images', failureRatio: 0.2, halfOpenCalls: 1 }),
  timeout({ duration: 1_000 }),
);
`,
  good: `import { circuitBreaker, pipeline, timeout } from '@resil/core';

export const images = pipeline(
  'images',
  circuitBreaker({ name: 'images', failureRatio: 0.2, halfOpenCalls: 5 }),
  timeout({ duration: 1_000 }),
);
`,
  check: perPipeline((pipeline) =>
    layersOf(pipeline, 'circuitBreaker').flatMap(({ layer }) => {
      const ratio = numberOf(layer, 'failureRatio');
      const probes = numberOf(layer, 'halfOpenCalls');
      if (ratio === undefined || probes === undefined) return [];
      // The quotient of a ratio such as 0.2 may end a hair above a whole number.
      const needed = Math.max(2, Math.ceil(1 / ratio - 1e-9));
      if (probes >= needed) return [];
      const chance = (1 - ratio) ** probes;
      return [
        {
          why: `circuit breaker '${layer.name}' closes after ${probes} ${probes === 1 ? 'probe' : 'probes'}: a dependency that still fails ${shareText(ratio)} of the calls gets through with a chance of ${shareText(chance)}`,
          figures: { halfOpenCalls: probes, needed, chance },
          fix: `make halfOpenCalls at least ${needed}`,
        },
      ];
    }),
  ),
};

export const differentSettings: Rule = {
  id: 'different-settings',
  severity: 'warning',
  title: 'different settings for the same destination',
  text: 'Two pipelines of a service that lead to the same destination with different breakers, timeouts or retries see it differently: one gives it up while the other goes on, and nobody can say how the service behaves when it is away. Compared are pipelines with the same `dependency.target`, or without one the same name.',
  bad: `import { resilient } from '@resil/axios';
import axios from 'axios';

const make = () => axios.create({ baseURL: 'http://prices' });
export const reads = resilient(make(), { name: 'prices', attemptTimeout: 500 });
export const writes = resilient(make(), { name: 'prices', attemptTimeout: 3_000 });
`,
  good: `import { resilient } from '@resil/axios';
import axios from 'axios';

const make = () => axios.create({ baseURL: 'http://prices' });
export const reads = resilient(make(), { name: 'prices', attemptTimeout: 500 });
export const writes = resilient(make(), { name: 'prices', attemptTimeout: 500 });
`,
  check: ({ services }) =>
    services.flatMap((service) =>
      [...groupsOf(service.pipelines)].flatMap(([destination, pipelines]) => {
        const different = SETTINGS.filter(
          ({ of }) => new Set(pipelines.map((pipeline) => JSON.stringify(of(pipeline)))).size > 1,
        );
        if (different.length === 0) return [];
        const places = pipelines.map(({ place, exportedAs }) => exportedAs ?? place);
        return [
          {
            service: service.service,
            place: destination,
            why: `${pipelines.length} pipelines lead there (${places.join(', ')}) and differ in ${different.map(({ name }) => name).join(', ')}`,
            figures: { pipelines: pipelines.length, differences: different.length },
            fix: 'share one pipeline, or give both the same settings; where they must differ, give them names and targets of their own',
          },
        ];
      }),
    ),
};

function groupsOf(pipelines: readonly InspectedPipeline[]): Map<string, InspectedPipeline[]> {
  const groups = new Map<string, InspectedPipeline[]>();
  for (const pipeline of pipelines) {
    const destination = pipeline.dependency.target ?? pipeline.name;
    if (destination === null) continue;
    groups.set(destination, [...(groups.get(destination) ?? []), pipeline]);
  }
  return new Map([...groups].filter(([, members]) => members.length > 1));
}

interface Setting {
  readonly name: string;
  of(pipeline: InspectedPipeline): unknown;
}

const optionsOf =
  (type: string, ...names: readonly string[]) =>
  (pipeline: InspectedPipeline): unknown =>
    layersOf(pipeline, type).map(({ layer }) => names.map((name) => layer.options[name]));

const SETTINGS: readonly Setting[] = [
  {
    name: 'circuit breakers',
    of: optionsOf(
      'circuitBreaker',
      'failureThreshold',
      'failureRatio',
      'minimumCalls',
      'window',
      'resetTimeout',
      'halfOpenCalls',
    ),
  },
  {
    name: 'timeouts',
    of: (pipeline) => limitsOf(pipeline).map(({ duration }) => String(duration)),
  },
  { name: 'retries', of: optionsOf('retry', 'maxAttempts', 'baseDelay', 'maxDelay', 'backoff') },
  { name: 'bulkheads', of: optionsOf('bulkhead', 'maxConcurrentCalls', 'maxQueueSize') },
];
