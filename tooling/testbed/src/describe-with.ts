/**
 * Tests that need a server which not every machine can have: loudly skipped on a developer's machine,
 * failed under `CI=true`.
 */
import { writeSync } from 'node:fs';

/** Declares tests; what vitest gives (`describe`, `it`) or any other runner of that shape. */
export interface TestRunner {
  describe(name: string, body: () => void): unknown;
  it(name: string, body: (context: { skip(note?: string): unknown }) => void): unknown;
}

/** What tests need. */
export interface Needed {
  /** What it is: `'a Kafka broker'`. */
  readonly what: string;
  /** Why it can't be had; `undefined` if it can. */
  readonly missing: string | undefined;
}

/** Declares a suite that needs a server. Without it the suite holds one test, which is skipped, and fails under `CI=true`. */
export function describeWith(
  runner: TestRunner,
  { what, missing }: Needed,
  name: string,
  body: () => void,
): void {
  if (missing === undefined) {
    runner.describe(name, body);
    return;
  }
  runner.describe(name, () => {
    runner.it(`needs ${what}`, (context) => {
      if (process.env.CI === 'true') throw new Error(missing);
      tellPastRunner(`\nNOT TESTED: ${name}: ${missing}\n`);
      context.skip(missing);
    });
  });
}

/** Past the test runner, which would swallow it. */
export function tellPastRunner(message: string): void {
  writeSync(2, `${message}\n`);
}
