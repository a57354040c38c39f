/**
 * Several servers as one: which of them a call is sent to, and which failures send it on to the next.
 *
 *   what it looks for, as far as is known > not asked yet > something else > not reachable of late
 *
 * Who is something else is asked again when its turn comes; that is how a promotion is noticed. Work
 * that only one server can do stays with the one that did it last, as long as that can: an old primary
 * that comes back beside a promoted standby gets none.
 */
import { type Call, isResilienceError, type StandardFailoverOptions } from '@resil/core';
import { meaningOf, sqlStateOf } from './classify.js';
import { pgState, type ResolvedPgOptions } from './options.js';
import { isLoss, PgServer } from './server.js';
import { isForWriting, matches, type TargetSessionAttrs } from './target-session.js';

/** The servers behind a wrapped pool. */
export class Servers {
  readonly all: readonly PgServer[];
  readonly #options: ResolvedPgOptions;
  #writer: PgServer | undefined;

  constructor(servers: readonly PgServer[], options: ResolvedPgOptions) {
    this.all = servers;
    this.#options = options;
  }

  get first(): PgServer {
    return this.all[0] as PgServer;
  }

  /** Where an attempt was sent. */
  of(call: Call): PgServer {
    const target = call.endpoint?.target;
    return target instanceof PgServer ? target : this.first;
  }

  /** The failover over them; `undefined` if there is nothing to fail over to. */
  get failover(): StandardFailoverOptions | undefined {
    if (this.all.length === 1) return undefined;
    return {
      endpoints: this.all.map((server) => ({ target: server, name: server.name })),
      rank: ({ target }, call) => this.#rank(target, targetOf(call)),
      moveOn,
      // Each server has a breaker; and one that is left out could be the only one that takes writes.
      outlierDetection: false,
      slowStartDuration: 0,
    };
  }

  /** A call got a session that is what it looked for. */
  admitted(server: PgServer, target: TargetSessionAttrs, call: Call): void {
    if (this.#writer === server || !isForWriting(target) || this.all.length === 1) return;
    const from = this.#writer?.name;
    this.#writer = server;
    if (call.observed)
      call.emit({ type: 'failover.moved', strategy: this.#options.name, from, to: server.name });
  }

  #rank(server: PgServer, target: TargetSessionAttrs): number {
    if (server.unreachable) return 3;
    if (target === 'any') return 0;
    if (server.role === undefined) return 1 + this.all.indexOf(server) / this.all.length;
    if (!matches(server.role, target)) return 2;
    return isForWriting(target) && this.#writer !== undefined && this.#writer !== server ? 0.5 : 0;
  }
}

function targetOf(call: Call): TargetSessionAttrs {
  return pgState(call)?.target ?? 'any';
}

/** Whether a call that failed goes to the next server at once: nothing was done, and the fault is this server's. */
function moveOn(error: unknown, call: Call): boolean {
  const state = pgState(call);
  if (state === undefined || state.held) return false;
  if (isResilienceError(error)) {
    return (
      error.code === 'RESIL_NO_SERVER' ||
      (error.code === 'RESIL_TIMEOUT' && state.phase === 'connecting')
    );
  }
  if (sqlStateOf(error) === '25006') return true;
  const { repeat } = meaningOf(error);
  return isLoss(error) && (state.phase !== 'sent' || repeat === 'safe') && repeat !== 'never';
}
