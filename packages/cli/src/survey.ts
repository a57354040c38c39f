/** Looks at the process that a module was loaded in: its pipelines, and the clients that the module gives away. */
import {
  type Guard,
  type JsonRecord,
  Keyed,
  type LayerDescription,
  type Pipeline,
  type PipelineDescription,
  registered,
} from '@resil/core';
import { recogniseClient } from './clients.js';
import { type Exported, walkExports } from './exports-walk.js';
import type {
  FoundClient,
  GuardIdentity,
  InspectedDependency,
  InspectedPipeline,
  Inspection,
} from './inspection.js';

/** What can be seen of a process. */
export type Survey = Pick<Inspection, 'exports' | 'pipelines' | 'clients' | 'notes'>;

/** Key of the pipeline that is made to look at, where keyed ones have none yet. */
const SAMPLE_KEY = 'sample';

/** Pipelines of whatever copy of the core: told by what they can do. */
type Any = Pipeline | Keyed;

/** Looks at the exports of a module, and at the pipelines of the process. */
export function survey(
  namespace: Readonly<Record<string, unknown>>,
  all: readonly Any[] = registered(),
): Survey {
  const clients: FoundClient[] = [];
  const exported = walkExports(namespace, (value) => {
    return !isPipeline(value) && recogniseClient(value) === undefined && !isForeign(value);
  });
  for (const { path, value } of exported) {
    const facts = isPipeline(value) ? undefined : recogniseClient(value);
    if (facts !== undefined) clients.push({ ...facts, path });
  }
  const notes: string[] = [];
  const looker = new Looker(exported);
  const pipelines = all.flatMap((one) => {
    try {
      return looker.look(one, all);
    } catch (error) {
      const name = one.name === undefined ? 'keyed pipelines' : `the keyed pipelines '${one.name}'`;
      notes.push(
        `${name} could not be looked at: making one for the key '${sampleKeyOf(one)}' failed (${messageOf(error)})`,
      );
      return [];
    }
  });
  return { exports: Object.keys(namespace), pipelines, clients, notes };
}

/** Looks at pipelines, and knows their guards again. */
class Looker {
  readonly #ids = new Map<object, number>();
  readonly #exported: readonly Exported[];

  constructor(exported: readonly Exported[]) {
    this.#exported = exported;
  }

  look(one: Any, all: readonly Any[]): InspectedPipeline[] {
    if (!isKeyed(one)) return [this.#inspect(one, undefined)];
    if (one.size === 0 && all.some((other) => !isKeyed(other) && isTwin(one, other))) return [];
    if (one.size === 0) one.for(sampleKeyOf(one));
    const [latest] = one.describe({ maxKeys: 1 }).pipelines;
    if (latest === undefined) return [];
    return [this.#inspect(one.for(latest.key), one)];
  }

  #inspect(pipeline: Pipeline, keyed: Keyed | undefined): InspectedPipeline {
    const description = pipeline.describe();
    const holder = keyed ?? pipeline;
    const exportedAs = this.#exported.find(({ value }) => value === holder)?.path ?? null;
    const name = description.name ?? keyed?.name ?? null;
    const place = name ?? exportedAs;
    return {
      place: place === null ? 'a pipeline without a name' : place,
      name,
      key: description.key,
      keyed: keyed !== undefined,
      exportedAs,
      dependency: dependencyOf(description.dependency ?? keyed?.describe().dependency ?? {}),
      layers: flat(description.layers),
      guards: guardsOf(pipeline).map((guard) => this.#identify(guard)),
    };
  }

  #identify(guard: Guard): GuardIdentity {
    let id = this.#ids.get(guard);
    if (id === undefined) {
      id = this.#ids.size + 1;
      this.#ids.set(guard, id);
    }
    const { describe } = guard as { describe?: () => LayerDescription };
    return { id, type: describe?.call(guard).type ?? 'guard', name: guard.name };
  }
}

/** Nested pipelines stand for their layers, endpoints of a failover for one of them. */
function flat(layers: readonly LayerDescription[]): LayerDescription[] {
  return layers.flatMap((layer) => {
    if (layer.type === 'pipeline') return flat((layer as PipelineDescription).layers);
    if (layer.type !== 'failover') return [layer];
    const [first] = layer.state.endpoints as readonly { layers: readonly LayerDescription[] }[];
    return [layer, ...flat(first?.layers ?? [])];
  });
}

/** The guards of a pipeline, those inside other layers too. */
function guardsOf(pipeline: Pipeline): Guard[] {
  const guards = new Set<Guard>();
  const visit = (layer: object): void => {
    const { layers, within, enter, leave } = layer as {
      layers?: readonly object[];
      within?: readonly object[];
      enter?: unknown;
      leave?: unknown;
    };
    if (typeof enter === 'function' && typeof leave === 'function') guards.add(layer as Guard);
    // A pattern that brings another along names itself among its layers.
    for (const part of [...(layers ?? []), ...(within ?? [])]) if (part !== layer) visit(part);
  };
  visit(pipeline);
  return [...guards];
}

function dependencyOf(told: JsonRecord): InspectedDependency {
  const { client, target, critical, innerAttempts, restartDuration } = told;
  return {
    client: typeof client === 'string' ? client : null,
    target: typeof target === 'string' ? target : null,
    critical: typeof critical === 'boolean' ? critical : null,
    innerAttempts: typeof innerAttempts === 'number' ? innerAttempts : null,
    restartDuration: typeof restartDuration === 'number' ? restartDuration : null,
  };
}

/** An adapter keeps its usual pipeline apart from those of keys that single calls name. */
function isTwin(keyed: Keyed, pipeline: Any): boolean {
  const told = (one: Any): string => JSON.stringify([one.name, one.dependency ?? null]);
  return keyed.dependency !== undefined && told(keyed) === told(pipeline);
}

function sampleKeyOf(one: Any): string {
  return one.dependency?.target ?? SAMPLE_KEY;
}

function isPipeline(value: object): boolean {
  const { execute, describe } = value as { execute?: unknown; describe?: unknown };
  return typeof execute === 'function' && typeof describe === 'function';
}

function isKeyed(value: object): value is Keyed {
  return value instanceof Keyed || typeof (value as Partial<Keyed>).for === 'function';
}

/** What holds the world, or nothing of the user's. */
function isForeign(value: object): boolean {
  return (
    value === globalThis ||
    value === process ||
    ArrayBuffer.isView(value) ||
    isModuleNamespace(value)
  );
}

function isModuleNamespace(value: object): boolean {
  return Reflect.get(value, Symbol.toStringTag) === 'Module';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
