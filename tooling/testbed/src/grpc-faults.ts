/** The faults that the gRPC service of the testbed can be switched to while it runs. */

/** What goes wrong. All parts may be combined; a part that is absent is off. */
export interface GrpcFaults {
  /** Milliseconds that each answer takes longer. */
  readonly latency?: number | undefined;
  /** Share of calls, in 0..1, that end with `status`. */
  readonly statusRatio?: number | undefined;
  /** Status of those calls. Default: 14 (UNAVAILABLE). */
  readonly status?: number | undefined;
  /** Statuses of the next calls, in order, before any ratio counts; 0 serves. */
  readonly statuses?: readonly number[] | undefined;
  /** Details of the calls that fail. Default: `'fault'`. */
  readonly details?: string | undefined;
  /** Trailers of the calls that fail; names that end in `-bin` in base64. */
  readonly trailers?: Readonly<Record<string, string>> | undefined;
  /** Share of calls, in 0..1, that are never answered. */
  readonly hangRatio?: number | undefined;
  /** Messages of a server stream after which it fails, where it is to fail. Default: 0. */
  readonly failAfterMessages?: number | undefined;
}

/** How one call is to be treated: served, never answered, or ended with a status. */
export type GrpcTreatment = 'serve' | 'hang' | { readonly status: number };

/** Gives the treatment of one call after the other. */
export class GrpcTreatments {
  readonly faults: GrpcFaults;
  readonly #random: () => number;
  #next = 0;

  constructor(faults: GrpcFaults, random: () => number) {
    this.faults = faults;
    this.#random = random;
  }

  draw(): GrpcTreatment {
    const { statuses = [], hangRatio = 0, statusRatio = 0, status = 14 } = this.faults;
    if (this.#next < statuses.length) {
      const scripted = statuses[this.#next++] as number;
      return scripted === 0 ? 'serve' : { status: scripted };
    }
    const chance = this.#random();
    if (chance < hangRatio) return 'hang';
    return chance < hangRatio + statusRatio ? { status } : 'serve';
  }
}
