/**
 * axios-retry on the same instance would repeat what was repeated already: three of our attempts in
 * each of its four. It keeps its state in the request's config, where we find it, and find that it is
 * there at all; ours stays, since only ours knows budgets, deadlines and bodies.
 */
import type { InternalAxiosRequestConfig } from 'axios';

/** Where axios-retry 3 and 4 keep the state of a request. */
const STATE = 'axios-retry';

let warned = false;

/** Takes the retries of axios-retry off this request, and warns about them once per process. */
export function settleDoubleRetry(config: InternalAxiosRequestConfig): void {
  const state = (config as unknown as Record<string, { retries?: number } | undefined>)[STATE];
  if (state === undefined) return;
  state.retries = 0;
  if (warned) return;
  warned = true;
  const warning =
    'axios-retry is installed on an axios instance that @resil/axios protects; its retries are switched off there, so that attempts do not multiply. Remove axios-retry from this instance.';
  const emit = globalThis.process?.emitWarning;
  if (emit === undefined) console.warn(warning);
  else
    emit.call(globalThis.process, warning, {
      type: 'ResilienceWarning',
      code: 'RESIL_DOUBLE_RETRY',
    });
}
