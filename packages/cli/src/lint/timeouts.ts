/** Rules about times that must fit into one another. */
import { durationText } from '../duration-text.js';
import type { InspectedPipeline, Inspection } from '../inspection.js';
import { usesContext } from './attempts.js';
import { figure, layersOf, limitInside, limitsOf, numberOf } from './layers.js';
import { type FindingOf, perPipeline, type Rule } from './rule.js';

export const cascadingTimeout: Rule = {
  id: 'cascading-timeout',
  severity: 'error',
  title: 'an inner timeout above an outer one',
  text: 'Times must get shorter further in. A timeout within a shorter one never ends anything, and what it was meant to tell (a hanging attempt, to be counted and repeated) is never told. From service to service it is worse: one that goes on working when its caller has given up works for nobody, while the caller asks again. Compared are the timeouts of each pipeline, and what a service may take for its own dependencies with what each of its callers waits; services that hand on their deadlines (`@resil/context`) keep within them anyway.',
  bad: `import { pipeline, retry, timeout } from '@resil/core';

export const quotes = pipeline(
  'quotes',
  timeout({ name: 'total', duration: 2_000 }),
  retry({ maxAttempts: 3 }),
  timeout({ name: 'attempt', duration: 5_000 }),
);
`,
  good: `import { pipeline, retry, timeout } from '@resil/core';

export const quotes = pipeline(
  'quotes',
  timeout({ name: 'total', duration: 5_000 }),
  retry({ maxAttempts: 3 }),
  timeout({ name: 'attempt', duration: 1_000 }),
);
`,
  check: (landscape) => [
    ...withinPipeline(landscape),
    ...landscape.calls.flatMap(({ from, pipeline, to }) => calleeAbove(from, pipeline, to)),
  ],
};

const withinPipeline = perPipeline((pipeline) => {
  const limits = limitsOf(pipeline);
  return limits.flatMap((inner, index) => {
    const outer = limits.slice(0, index).find(({ duration }) => duration < inner.duration);
    if (outer === undefined) return [];
    return [
      {
        why: `timeout '${inner.name}' of ${durationText(inner.duration)} stands within '${outer.name}' of ${durationText(outer.duration)}, and never ends anything`,
        figures: { inner: figure(inner.duration), outer: figure(outer.duration) },
        fix: `make '${inner.name}' shorter than ${durationText(outer.duration)}, or '${outer.name}' longer than ${durationText(inner.duration)}`,
      },
    ];
  });
});

/** What the callee may take for the slowest of its own dependencies, against what its caller waits for one attempt. */
function calleeAbove(from: Inspection, pipeline: InspectedPipeline, to: Inspection): FindingOf[] {
  if (usesContext(from) && usesContext(to)) return [];
  const patience = patienceOf(pipeline);
  const slowest = to.pipelines
    .map((one) => ({ place: one.place, longest: longestOf(one) }))
    .sort((a, b) => b.longest - a.longest)[0];
  if (slowest === undefined || patience === Infinity || slowest.longest <= patience) return [];
  return [
    {
      service: from.service,
      place: pipeline.place,
      why: `'${from.service}' waits ${durationText(patience)} for an attempt, but '${to.service}' goes on for ${durationText(slowest.longest)} with '${slowest.place}': it works for nobody, while it is asked again`,
      figures: { caller: patience, callee: figure(slowest.longest) },
      fix: `bring the timeouts of '${to.service}' for '${slowest.place}' below ${durationText(patience)}, or hand the deadline on with @resil/context in both`,
    },
  ];
}

/** How long the caller waits for one attempt. */
function patienceOf(pipeline: InspectedPipeline): number {
  return Math.min(Infinity, ...limitsOf(pipeline).map(({ duration }) => duration));
}

/** How long a call through a pipeline may take: the outermost limit, or the sum of what it is made of. */
function longestOf(pipeline: InspectedPipeline): number {
  const [outermost] = limitsOf(pipeline);
  if (outermost === undefined) return Infinity;
  const attempts = layersOf(pipeline, 'retry')
    .filter(({ index }) => index < outermost.index)
    .reduce((all, { layer }) => all * (numberOf(layer, 'maxAttempts') ?? 1), 1);
  return attempts * outermost.duration;
}

export const shortWindow: Rule = {
  id: 'short-window',
  severity: 'warning',
  title: 'a breaker window that hanging calls outlast',
  text: 'A breaker that looks back on a time shorter than two attempt timeouts has forgotten one hanging call before the next one ends: it may never see `minimumCalls` of them, and stays closed before a dependency that answers nothing.',
  bad: `import { circuitBreaker, pipeline, timeout } from '@resil/core';

export const maps = pipeline(
  'maps',
  circuitBreaker({ name: 'maps', window: { duration: 5_000 }, halfOpenCalls: 3 }),
  timeout({ duration: 4_000 }),
);
`,
  good: `import { circuitBreaker, pipeline, timeout } from '@resil/core';

export const maps = pipeline(
  'maps',
  circuitBreaker({ name: 'maps', window: { duration: 30_000 }, halfOpenCalls: 3 }),
  timeout({ duration: 4_000 }),
);
`,
  check: perPipeline((pipeline) =>
    layersOf(pipeline, 'circuitBreaker').flatMap(({ layer, index }) => {
      const { duration } = (layer.options.window ?? {}) as { duration?: number };
      const attempt = limitInside(pipeline, index);
      if (duration === undefined || attempt === Infinity || duration >= 2 * attempt) return [];
      return [
        {
          why: `the window of circuit breaker '${layer.name}' is ${durationText(duration)}, and a hanging call ends after ${durationText(attempt)}`,
          figures: { window: duration, attemptTimeout: attempt },
          fix: `make the window at least ${durationText(2 * attempt)}`,
        },
      ];
    }),
  ),
};
