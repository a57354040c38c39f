/**
 * An object that is another one in all but a few members. Everything else is the target's own: its
 * methods run on the target itself, so that private fields, counters and events have one home, and
 * `instanceof` and an ORM's look at the constructor's name see what they expect.
 */

/** Members that are answered instead of the target's. Assigning one replaces it here, not on the target. */
export type Overlay = Record<string, unknown>;

/** Puts members over a target. */
export function overlay<Target extends object>(target: Target, own: Overlay): Target {
  const bound = new WeakMap<object, unknown>();
  const proxy: Target = new Proxy(target, {
    get(_, property) {
      if (typeof property === 'string' && Object.hasOwn(own, property)) return own[property];
      const value: unknown = Reflect.get(target, property, target);
      // What an instance itself holds (pg's `Client`, `Promise`, `log`) is data, not a method.
      if (
        typeof value !== 'function' ||
        property === 'constructor' ||
        Object.hasOwn(target, property)
      )
        return value;
      let method = bound.get(value);
      if (method === undefined) {
        method = (...args: unknown[]): unknown => {
          const result: unknown = Reflect.apply(value, target, args);
          return result === target ? proxy : result;
        };
        bound.set(value, method);
      }
      return method;
    },
    set(_, property, value) {
      if (typeof property === 'string' && Object.hasOwn(own, property)) own[property] = value;
      else Reflect.set(target, property, value, target);
      return true;
    },
    defineProperty(_, property, descriptor) {
      const replaced = typeof property === 'string' && Object.hasOwn(own, property);
      return Reflect.defineProperty(replaced ? own : target, property, descriptor);
    },
  });
  return proxy;
}

type Listener = (...args: unknown[]) => unknown;

interface Emitter {
  on(event: string | symbol, listener: Listener): unknown;
  prependListener(event: string | symbol, listener: Listener): unknown;
  removeListener(event: string | symbol, listener: Listener): unknown;
  removeAllListeners(event?: string | symbol): unknown;
}

/**
 * The ways to add a listener, for listeners that are to get `translate`d arguments and `self()` as
 * `this`. Of several targets all are listened to, and a listener goes from all of them.
 */
export function listening(
  targets: readonly object[],
  self: () => object,
  translate: (arg: unknown) => unknown,
): Overlay {
  const emitters = targets as readonly Emitter[];
  const adds = (method: 'on' | 'prependListener', once: boolean) => {
    return (event: string | symbol, listener: Listener): object => {
      const translated: Listener & { listener?: Listener } = (...args) => {
        if (once) for (const emitter of emitters) emitter.removeListener(event, translated);
        return Reflect.apply(listener, self(), args.map(translate));
      };
      // By this name an EventEmitter finds a listener that stands for another, to remove or to list it.
      translated.listener = listener;
      for (const emitter of emitters) emitter[method](event, translated);
      return self();
    };
  };
  const removes = (method: 'removeListener' | 'removeAllListeners'): Listener => {
    return (...args) => {
      for (const emitter of emitters) Reflect.apply(emitter[method], emitter, args);
      return self();
    };
  };
  return {
    on: adds('on', false),
    addListener: adds('on', false),
    once: adds('on', true),
    prependListener: adds('prependListener', false),
    prependOnceListener: adds('prependListener', true),
    removeListener: removes('removeListener'),
    off: removes('removeListener'),
    removeAllListeners: removes('removeAllListeners'),
  };
}
