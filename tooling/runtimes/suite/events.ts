/** `getEventListeners` for workerd, whose own one doesn't know the listeners of an `AbortSignal`. */

export { once } from 'node:events';

/** By target, its listeners by type. */
const listeners = new WeakMap<EventTarget, Map<string, Set<unknown>>>();
const { addEventListener, removeEventListener } = EventTarget.prototype;

EventTarget.prototype.addEventListener = function (type, listener, options): void {
  const own = listenersOf(this, type);
  if (typeof options === 'object' && options.once === true) {
    addEventListener.call(this, type, () => own.delete(listener), { once: true });
  }
  own.add(listener);
  addEventListener.call(this, type, listener, options);
};

EventTarget.prototype.removeEventListener = function (type, listener, options): void {
  listenersOf(this, type).delete(listener);
  removeEventListener.call(this, type, listener, options);
};

function listenersOf(target: EventTarget, type: string): Set<unknown> {
  const byType = listeners.get(target) ?? new Map<string, Set<unknown>>();
  listeners.set(target, byType);
  const own = byType.get(type) ?? new Set();
  byType.set(type, own);
  return own;
}

export function getEventListeners(target: EventTarget, type: string): unknown[] {
  return [...listenersOf(target, type)];
}
