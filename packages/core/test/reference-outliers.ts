/** Outlier detection by the book: gRPC's A50 with a timer that ticks, and consecutive failures beside it. */

interface Host {
  successes: number;
  failures: number;
  inARow: number;
  ejectedAt: number | undefined;
  multiplier: number;
}

/** What the reference goes by. */
export interface ReferenceRules {
  readonly failureThreshold: number;
  readonly minimumEndpoints: number;
  readonly minimumCalls: number;
  readonly deviationFactor: number;
  readonly minimumGap: number;
  readonly failureRatio: number;
  readonly sweepInterval: number;
  readonly baseEjectionDuration: number;
  readonly maxEjectionDuration: number;
  readonly maxEjectionRatio: number;
}

export class ReferenceOutliers {
  readonly hosts: Host[];
  readonly #rules: ReferenceRules;

  constructor(size: number, rules: ReferenceRules) {
    this.#rules = rules;
    this.hosts = Array.from({ length: size }, () => ({
      successes: 0,
      failures: 0,
      inARow: 0,
      ejectedAt: undefined,
      multiplier: 0,
    }));
  }

  get out(): number[] {
    return [...this.hosts.keys()].filter((index) => this.hosts[index]?.ejectedAt !== undefined);
  }

  call(index: number, ok: boolean, now: number): void {
    const host = this.hosts[index] as Host;
    if (host.ejectedAt !== undefined) return;
    if (ok) {
      host.successes++;
      host.inARow = 0;
    } else {
      host.failures++;
      host.inARow++;
      if (host.inARow >= this.#rules.failureThreshold) this.#eject(host, now);
    }
  }

  /** The timer ticks. */
  tick(now: number): void {
    const rules = this.#rules;
    const counted = this.hosts.map((host) => ({ host, ok: host.successes, bad: host.failures }));
    for (const host of this.hosts) Object.assign(host, { successes: 0, failures: 0 });
    const enough = counted.filter(({ ok, bad }) => ok + bad >= rules.minimumCalls);
    if (enough.length >= rules.minimumEndpoints) {
      const rates = enough.map(({ ok, bad }) => ok / (ok + bad));
      const mean = rates.reduce((a, b) => a + b, 0) / rates.length;
      const spread = Math.sqrt(rates.reduce((a, b) => a + (b - mean) ** 2, 0) / rates.length);
      for (const { host, ok, bad } of enough) {
        const rate = ok / (ok + bad);
        if (rate < mean - rules.deviationFactor * spread && mean - rate >= rules.minimumGap)
          this.#eject(host, now);
      }
    }
    if (this.hosts.length >= rules.minimumEndpoints) {
      for (const { host, ok, bad } of enough)
        if (bad / (ok + bad) >= rules.failureRatio) this.#eject(host, now);
    }
    for (const host of this.hosts) {
      if (host.ejectedAt === undefined) host.multiplier = Math.max(0, host.multiplier - 1);
      else if (now >= host.ejectedAt + this.#duration(host))
        Object.assign(host, { ejectedAt: undefined, inARow: 0 });
    }
  }

  #duration(host: Host): number {
    const { baseEjectionDuration, maxEjectionDuration } = this.#rules;
    return Math.min(baseEjectionDuration * host.multiplier, maxEjectionDuration);
  }

  #eject(host: Host, now: number): void {
    const out = this.out.length;
    const size = this.hosts.length;
    if (host.ejectedAt !== undefined || out + 1 === size) return;
    if (out > 0 && (out + 1) / size > this.#rules.maxEjectionRatio) return;
    host.ejectedAt = now;
    host.multiplier++;
  }
}
