/** The three statuses of `application/health+json`, and which of several counts. */

/** `'pass'`: all is well. `'warn'`: it works, and somebody should look. `'fail'`: it does not work. */
export type HealthStatus = 'pass' | 'warn' | 'fail';

const order: readonly HealthStatus[] = ['pass', 'warn', 'fail'];

/** The worst of them; `'pass'` if there is none. */
export function worstOf(statuses: Iterable<HealthStatus>): HealthStatus {
  let worst = 0;
  for (const status of statuses) worst = Math.max(worst, order.indexOf(status));
  return order[worst] as HealthStatus;
}

/** As far as something that the service can do without makes the whole unwell. */
export function softened(status: HealthStatus, critical: boolean): HealthStatus {
  return status === 'fail' && !critical ? 'warn' : status;
}
