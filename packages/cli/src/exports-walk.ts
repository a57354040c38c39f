/** A walk through what a module exports: values, and the way to each. Getters are not run. */

/** A value that a module gives away. */
export interface Exported {
  /** The way to it: `clients.prices`. */
  readonly path: string;
  readonly value: object;
}

const MAX_DEPTH = 5;
const MAX_MEMBERS = 200;
const MAX_VALUES = 20_000;

/** Objects and functions that can be reached from the exports of a module, nearest first. `enter` says whether to look into one. */
export function walkExports(
  namespace: Readonly<Record<string, unknown>>,
  enter: (value: object) => boolean,
): Exported[] {
  const seen = new Set<object>();
  const found: Exported[] = [];
  let level: Exported[] = membersOf(namespace, '');
  for (let depth = 1; depth <= MAX_DEPTH && level.length > 0; depth++) {
    const next: Exported[] = [];
    for (const exported of level) {
      if (seen.has(exported.value) || found.length >= MAX_VALUES) continue;
      seen.add(exported.value);
      found.push(exported);
      if (enter(exported.value)) next.push(...membersOf(exported.value, exported.path));
    }
    level = next;
  }
  return found;
}

function membersOf(container: object, path: string): Exported[] {
  const members: Exported[] = [];
  for (const [name, value] of entriesOf(container)) {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) continue;
    members.push({ path: path === '' ? name : `${path}.${name}`, value });
    if (members.length >= MAX_MEMBERS) break;
  }
  return members;
}

function entriesOf(container: object): [string, unknown][] {
  if (container instanceof Map) {
    return [...container].map(([key, value]) => [String(key), value]);
  }
  // The exports of a module are read as they are; they are not getters, but look like them.
  if (Reflect.get(container, Symbol.toStringTag) === 'Module') return Object.entries(container);
  return Object.entries(Object.getOwnPropertyDescriptors(container))
    .filter(([, descriptor]) => descriptor.enumerable === true && 'value' in descriptor)
    .map(([name, descriptor]) => [name, descriptor.value]);
}
