/** The faults that the HTTP service of the testbed can be switched to while it runs. */

/** What goes wrong. All parts may be combined; a part that is absent is off. */
export interface HttpFaults {
  /** Milliseconds that each answer takes longer. */
  readonly latency?: number | undefined;
  /** Share of requests, in 0..1, that is answered with `status`. */
  readonly statusRatio?: number | undefined;
  /** Status of those answers. Default: 503. */
  readonly status?: number | undefined;
  /** `Retry-After` of those answers, as it is sent. */
  readonly retryAfter?: string | undefined;
  /** Other headers of those answers. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Share of requests, in 0..1, that is never answered. */
  readonly hangRatio?: number | undefined;
  /** Share of requests, in 0..1, whose connection is reset instead of an answer. */
  readonly resetRatio?: number | undefined;
  /** Milliseconds after an answer at which the idle connection is closed without a word to the client. */
  readonly closeIdleAfter?: number | undefined;
}

/** How one request is to be treated, drawn from the faults. */
export type Treatment = 'serve' | 'status' | 'hang' | 'reset';

/** No fault at all. */
export const noFaults: HttpFaults = Object.freeze({});

/** Draws the treatment of one request. */
export function treatmentOf(faults: HttpFaults, random: () => number): Treatment {
  let chance = random();
  for (const [treatment, ratio] of [
    ['hang', faults.hangRatio],
    ['reset', faults.resetRatio],
    ['status', faults.statusRatio],
  ] as const) {
    chance -= ratio ?? 0;
    if (chance < 0) return treatment;
  }
  return 'serve';
}
