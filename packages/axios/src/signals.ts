/** The one signal of everything that may abort a request: its signals, and a CancelToken. */
import type { InternalAxiosRequestConfig } from 'axios';

/** A signal, and how to let go of what it follows. */
export interface FollowedSignal {
  readonly signal?: AbortSignal | undefined;
  readonly unlink?: (() => void) | undefined;
}

type TokenSignal = AbortSignal & { unsubscribe?: () => void };

/** Signal of what is given in `config`: its own where there is one, made only where there are several. */
export function signalOf(config: InternalAxiosRequestConfig): FollowedSignal {
  const own = (config.signal as AbortSignal | undefined) ?? undefined;
  const asked = config.resilience?.signal;
  if (!config.cancelToken) {
    if (own === undefined || asked === undefined || own === asked) return { signal: own ?? asked };
    return follow([own, asked]);
  }
  const token = config.cancelToken as unknown as { toAbortSignal(): TokenSignal };
  const signal = token.toAbortSignal();
  const unlink = (): void => signal.unsubscribe?.();
  const given = [own, asked].filter((other) => other !== undefined);
  return given.length === 0 ? { signal, unlink } : follow([signal, ...given], unlink);
}

/** `AbortSignal.any` would leave something behind on a signal that lives long. */
function follow(signals: readonly AbortSignal[], unlink?: () => void): FollowedSignal {
  const controller = new AbortController();
  const ends: Array<(() => void) | undefined> = [unlink];
  for (const signal of signals) {
    const abort = (): void => controller.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    ends.push(() => signal.removeEventListener('abort', abort));
  }
  return {
    signal: controller.signal,
    unlink: () => {
      for (const end of ends) end?.();
    },
  };
}
