/** Tests that need a browser, where there may be none. */
import { chromiumFiles } from './chromium-files.js';
import { describeWith, type TestRunner, tellPastRunner } from './describe-with.js';

/**
 * Why no Chromium can be had; `undefined` if one can. Fetches what it needs, and tells what it does on
 * the standard error output.
 */
export async function chromiumMissing(): Promise<string | undefined> {
  try {
    await chromiumFiles(tellPastRunner);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Declares a suite that needs a browser. Without one it holds one test, which is skipped, and fails under `CI=true`. */
export function describeWithChromium(
  runner: TestRunner,
  missing: string | undefined,
  name: string,
  body: () => void,
): void {
  describeWith(runner, { what: 'a Chromium', missing }, name, body);
}
