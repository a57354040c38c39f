/** Makes an injected fault count as the dependency's. */
import type { Call } from '@resil/core';

/**
 * Marks a call, and those that it was derived from, as started. A call that is cut short before its
 * operation has started says nothing about the dependency and is not repeated; an injected fault
 * stands for the dependency, so a call that has reached it has started.
 */
export function dependencyReached(call: Call): void {
  for (let at: Call | undefined = call; at !== undefined; at = at.parent) {
    Reflect.set(at, 'started', true);
  }
}
