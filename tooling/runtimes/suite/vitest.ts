/**
 * What the tests import as 'vitest', made of vitest's own parts, which run anywhere: its runner, its
 * assertions and its spies, and the fake timers that it is built on.
 */
import { withGlobal } from '@sinonjs/fake-timers';
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  type ExpectStatic,
  getState,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from '@vitest/expect';
import { fn, isMockFunction, restoreAllMocks, spyOn } from '@vitest/spy';
import * as chai from 'chai';

export { afterAll, afterEach, beforeAll, beforeEach, describe, it, test } from '@vitest/runner';

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

export const expect = ((value: unknown, message?: string) =>
  chai.expect(value, message)) as unknown as ExpectStatic;
Object.assign(
  expect,
  chai.expect,
  (globalThis as Record<symbol, unknown>)[ASYMMETRIC_MATCHERS_OBJECT],
);
setState({ assertionCalls: 0, isExpectingAssertions: false }, expect);
expect.getState = () => getState(expect);
expect.setState = (state) => setState(state as never, expect);

let timers: ReturnType<ReturnType<typeof withGlobal>['install']> | undefined;
const stubbed = new Map<string, PropertyDescriptor | undefined>();

export const vi = {
  fn,
  spyOn,
  isMockFunction,
  restoreAllMocks,
  useFakeTimers(): void {
    timers?.uninstall();
    timers = withGlobal(globalThis).install({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
    });
  },
  useRealTimers(): void {
    timers?.uninstall();
    timers = undefined;
  },
  getTimerCount: (): number => timers?.countTimers() ?? 0,
  advanceTimersByTimeAsync: async (duration: number): Promise<void> => {
    await timers?.tickAsync(duration);
  },
  stubGlobal(name: string, value: unknown): void {
    if (!stubbed.has(name)) {
      stubbed.set(name, Object.getOwnPropertyDescriptor(globalThis, name));
    }
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
  },
  unstubAllGlobals(): void {
    for (const [name, original] of stubbed) {
      if (original === undefined) Reflect.deleteProperty(globalThis, name);
      else Object.defineProperty(globalThis, name, original);
    }
    stubbed.clear();
  },
  async waitFor<T>(
    check: () => T | Promise<T>,
    { timeout = 1_000, interval = 50 }: { timeout?: number; interval?: number } = {},
  ): Promise<T> {
    for (let waited = 0; ; waited += interval) {
      try {
        return await check();
      } catch (error) {
        if (waited >= timeout) throw error;
        await new Promise((resolve) => setTimeout(resolve, interval));
      }
    }
  },
};
