/** What the contract suites need of a test runner, and the few things that their tests share. */
import { systemClock } from '@resil/core';

/**
 * The functions of a test runner. Vitest's and Jest's fit as they are:
 * `{ describe, it, afterAll }`; with node:test it is `{ describe, it, afterAll: after }`.
 */
export interface TestRunner {
  /** Groups tests. */
  readonly describe: (name: string, body: () => void) => unknown;
  /** Declares a test. */
  readonly it: (name: string, body: () => void | Promise<void>) => unknown;
  /** Runs something after the last test of the group that is being declared. */
  readonly afterAll: (body: () => void | Promise<void>) => unknown;
}

/** Nothing that a suite waits for takes this long unless it hangs, in ms. */
const HANG_TIMEOUT = 10_000;
/** Pause between two looks at a condition, in ms. */
const LOOK_INTERVAL = 5;

/** Waits for a promise, but not for ever: one that hangs fails with `what` in the message. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let cancel = (): void => {};
  const hang = new Promise<never>((_, reject) => {
    const fail = (): void => reject(new Error(`${what}: not settled after ${HANG_TIMEOUT} ms`));
    cancel = systemClock.schedule(fail, HANG_TIMEOUT);
  });
  try {
    return await Promise.race([promise, hang]);
  } finally {
    cancel();
  }
}

/** What a promise rejects with; resolving is an error. */
export async function rejection(what: string, promise: Promise<unknown>): Promise<unknown> {
  const outcome = await within(
    what,
    promise.then(
      (value) => ({ ok: true as const, value }),
      (error: unknown) => ({ ok: false as const, error }),
    ),
  );
  if (outcome.ok) throw new Error(`${what}: expected a rejection, but it resolved`);
  return outcome.error;
}

/** Waits until the condition holds, looking every few milliseconds. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const start = systemClock.now();
  while (!(await condition())) {
    if (systemClock.now() - start > HANG_TIMEOUT) {
      throw new Error(`${what}: not so after ${HANG_TIMEOUT} ms`);
    }
    await new Promise<void>((resolve) => systemClock.schedule(resolve, LOOK_INTERVAL));
  }
}
