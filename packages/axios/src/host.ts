/**
 * The copy of axios that made an instance. There can be several in a process: one for `import`, one
 * for `require`, one more in a dependency. Adapters and errors have to come from the instance's own,
 * or its user's `instanceof AxiosError` fails.
 */
import ours, { type AxiosInstance, type AxiosStatic } from 'axios';

/** What is needed of axios itself, beside the instance. */
export type AxiosHost = Pick<AxiosStatic, 'getAdapter' | 'Axios' | 'CanceledError' | 'defaults'>;

/**
 * The axios that made `instance`: the instance if it is axios itself, our import, or the CommonJS
 * build. Where none of them made it, our import does: it works alike, only `instanceof` can tell.
 */
export function hostOf(instance: Pick<AxiosInstance, 'interceptors'>): AxiosHost {
  if (isHost(instance)) return instance;
  if (madeBy(instance, ours)) return ours;
  const required = requiredAxios();
  return required !== undefined && madeBy(instance, required) ? required : ours;
}

function isHost(value: object): value is AxiosHost {
  return (
    typeof (value as AxiosStatic).getAdapter === 'function' &&
    typeof (value as AxiosStatic).Axios === 'function'
  );
}

/** Each copy has an interceptor manager class of its own. */
function madeBy(instance: Pick<AxiosInstance, 'interceptors'>, host: AxiosStatic): boolean {
  return instance.interceptors.request.constructor === host.interceptors.request.constructor;
}

/** The CommonJS build, where there is one: not outside Node. */
function requiredAxios(): AxiosStatic | undefined {
  try {
    const load = globalThis.process
      ?.getBuiltinModule?.('node:module')
      .createRequire(import.meta.url);
    return load?.('axios') as AxiosStatic | undefined;
  } catch {
    return undefined;
  }
}
