/** Ends the process in order when the platform asks for it. */
import { checkOptions, functionRule, InvalidOptionError, type OptionRules } from '@resil/core';
import { checkDrainOptions, type DrainOptions, type DrainReport } from './drain.js';
import { Health } from './health.js';

/** Options of {@link drainOnSignals}. */
export interface SignalOptions extends DrainOptions {
  /** Told of the report, before the process ends. */
  readonly onDrained?: ((report: DrainReport) => void | Promise<void>) | undefined;
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

const rules: OptionRules<Pick<SignalOptions, 'onDrained'>> = { onDrained: functionRule };

/**
 * Drains and then ends the process at SIGTERM or SIGINT: with code 0 if the drain was clean, 1 if not, and
 * at once at the second signal, with 128 and the signal's number. Gives a function that takes it back.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { drainOnSignals, health } from '@resil/health';
 *
 * const server = createServer();
 * const forget = drainOnSignals(health(), {
 *   stop: { http: () => new Promise((resolve) => server.close(resolve)) },
 * });
 * forget();
 * ```
 */
export function drainOnSignals(health: Health, options: SignalOptions = {}): () => void {
  if (!(health instanceof Health))
    throw new InvalidOptionError('drainOnSignals: health', health, 'must be what health() gives');
  const { onDrained, ...drain } = options;
  checkOptions<Pick<SignalOptions, 'onDrained'>>('drainOnSignals', { onDrained }, rules);
  checkDrainOptions(drain);
  const listener = (signal: NodeJS.Signals): void => {
    if (health.draining) process.exit(signal === 'SIGINT' ? 130 : 143);
    const ending = health.drain(drain).then(async (report) => {
      await onDrained?.(report);
      return report.clean;
    });
    ending.then(
      (clean) => process.exit(clean ? 0 : 1),
      () => process.exit(1),
    );
  };
  for (const signal of SIGNALS) process.on(signal, listener);
  return () => {
    for (const signal of SIGNALS) process.off(signal, listener);
  };
}
