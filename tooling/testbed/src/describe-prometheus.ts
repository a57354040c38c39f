/** Tests that need a Prometheus, where there may be none. */
import { describeWith, type TestRunner, tellPastRunner } from './describe-with.js';
import { prometheusFiles } from './prometheus-files.js';

/**
 * Why no Prometheus can be had; `undefined` if one can. Fetches what it needs, and tells what it does
 * on the standard error output.
 */
export async function prometheusMissing(): Promise<string | undefined> {
  try {
    await prometheusFiles(tellPastRunner);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Declares a suite that needs a Prometheus. Without one it holds one test, which is skipped, and fails under `CI=true`. */
export function describeWithPrometheus(
  runner: TestRunner,
  missing: string | undefined,
  name: string,
  body: () => void,
): void {
  describeWith(runner, { what: 'a Prometheus', missing }, name, body);
}
