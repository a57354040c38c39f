/** Services, and who calls whom: what the rules of lint look at. */
import { BadInputError } from './bad-input.js';
import type { InspectedDependency, InspectedPipeline, Inspection } from './inspection.js';
import type { DependencySettings, Settings } from './settings.js';

/** Services and the calls between them. */
export interface Landscape {
  readonly services: readonly Inspection[];
  readonly calls: readonly CallPath[];
}

/** A pipeline of one service that leads to another. */
export interface CallPath {
  readonly from: Inspection;
  readonly pipeline: InspectedPipeline;
  readonly to: Inspection;
}

/**
 * Puts services and settings together.
 *
 * @throws `BadInputError` for settings that name a service or pipeline that is not there.
 */
export function landscapeOf(inspections: readonly Inspection[], settings: Settings): Landscape {
  const services = inspections.map((inspection) => withSettings(inspection, settings));
  return {
    services,
    calls: [...toldCalls(services, settings), ...guessedCalls(services, settings)],
  };
}

/** What the settings say of dependencies goes before what the code says. */
export function withSettings(inspection: Inspection, settings: Settings): Inspection {
  const { dependencies } = settings;
  if (dependencies === undefined) return inspection;
  const pipelines = inspection.pipelines.map((pipeline) => {
    const known = pipeline.name === null ? undefined : dependencies[pipeline.name];
    if (known === undefined) return pipeline;
    return { ...pipeline, dependency: merged(pipeline.dependency, known) };
  });
  return { ...inspection, pipelines };
}

function merged(told: InspectedDependency, known: DependencySettings): InspectedDependency {
  const { critical = told.critical, restartDuration = told.restartDuration } = known;
  return { ...told, critical, restartDuration };
}

function toldCalls(services: readonly Inspection[], settings: Settings): CallPath[] {
  const serviceOf = (name: string): Inspection => {
    const found = services.find(({ service }) => service === name);
    if (found !== undefined) return found;
    const known = services.map(({ service }) => `'${service}'`).join(', ');
    throw new BadInputError(`the settings name a service '${name}' in calls; known are ${known}`);
  };
  return (settings.calls ?? []).map((call) => {
    const from = serviceOf(call.from);
    const to = serviceOf(call.to);
    const name = call.pipeline ?? to.service;
    const pipeline = from.pipelines.find((one) => one.name === name);
    if (pipeline === undefined) {
      throw new BadInputError(
        `the settings name a pipeline '${name}' of '${from.service}' in calls, which has ${namesOf(from)}`,
      );
    }
    return { from, pipeline, to };
  });
}

function namesOf({ pipelines }: Inspection): string {
  const names = pipelines.flatMap(({ name }) => (name === null ? [] : [`'${name}'`]));
  return names.length === 0 ? 'none with a name' : names.join(', ');
}

/** A pipeline leads to the service whose name it has, or its target's host. */
function guessedCalls(services: readonly Inspection[], settings: Settings): CallPath[] {
  const told = new Set((settings.calls ?? []).map(({ from, to }) => `${from} > ${to}`));
  return services.flatMap((from) =>
    services
      .filter((to) => to !== from && !told.has(`${from.service} > ${to.service}`))
      .flatMap((to) =>
        from.pipelines
          .filter((pipeline) => pipeline.name === to.service || hostOf(pipeline) === to.service)
          .map((pipeline) => ({ from, pipeline, to })),
      ),
  );
}

/** `prices` of `http://prices:8080`, `dns:prices:50051`, `prices`. */
function hostOf({ dependency: { target } }: InspectedPipeline): string | undefined {
  return target === null ? undefined : /^(?:[a-z]+:)?(?:\/\/)?([\w-]+)/i.exec(target)?.[1];
}
