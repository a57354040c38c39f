/**
 * A call of the caller's as it goes through a pipeline, whatever its kind: what the pipeline asks of
 * it, what may abort it, and how it ends, which is once and never as a throw.
 */
import type { InterceptorOptions, Metadata, NextCall, StatusObject } from '@grpc/grpc-js';
import { ambientDeadline, type CallAttributes, type CallOptions, Cancellation } from '@resil/core';
import { followParent, followSignal } from './aborts.js';
import type { GrpcAttributes } from './classify.js';
import { hostDeadline, toClock, toWall } from './deadlines.js';
import { emptyMetadata, type HostCall, type HostListener, type MessageContext } from './host.js';
import type { Lanes } from './lanes.js';
import type { Route } from './protection.js';
import { CANCELLED, CANCELLED_ON_CLIENT, type OwnStatus, StatusError, statusOf } from './status.js';

/** What the interceptor was given for a call. */
export interface CallSetup {
  readonly route: Route;
  /** The pipeline that it goes through. */
  readonly lanes: Lanes;
  readonly options: InterceptorOptions;
  readonly nextCall: NextCall;
}

/** A guarded call, to the caller and to the pipeline. */
export abstract class GuardedCall implements CallOptions, GrpcAttributes {
  readonly attributes: CallAttributes;
  readonly key: string;
  readonly name: string;
  readonly idempotent: boolean;
  readonly priority: number | undefined;
  /** On the clock's scale. */
  readonly deadline: number;
  /** The same in wall time, for calls whose attempts have no limit of their own. */
  protected readonly wallDeadline: number;
  /** Any call can be cancelled, hardly any is: an AbortController for each would cost 15 µs of 100. */
  readonly cancellation: Cancellation = new Cancellation();
  readonly setup: CallSetup;
  protected metadata!: Metadata;
  protected listener!: HostListener;
  maybeSent = false;
  #unfollow: (() => void)[] | undefined;
  #ended = false;

  constructor(setup: CallSetup) {
    const { route, lanes, options } = setup;
    const said = options.resilience;
    this.setup = setup;
    this.attributes = { grpc: this };
    this.key = said?.key ?? route.key;
    this.name = said?.name ?? route.name;
    this.idempotent = said?.idempotent ?? route.idempotent;
    this.priority = said?.priority;
    const { clock } = lanes.unary;
    const ofHost = hostDeadline(options);
    const ofStream =
      route.streamTimeout === undefined ? Infinity : clock.now() + route.streamTimeout;
    this.deadline = Math.min(
      toClock(clock, ofHost),
      said?.deadline ?? Infinity,
      ofStream,
      ambientDeadline(clock),
    );
    this.wallDeadline = toWall(clock, this.deadline);
  }

  get path(): string {
    return this.setup.route.method.path;
  }

  get kind(): GrpcAttributes['kind'] {
    return this.setup.route.method.kind;
  }

  /** Whether the caller has been told how the call ended. */
  protected get ended(): boolean {
    return this.#ended;
  }

  cancelWithStatus(code: number, details: string): void {
    this.abort(new StatusError({ code, details, metadata: emptyMetadata(this.metadata) }));
  }

  /** From now on the call may be aborted from outside. */
  protected follow(): void {
    const { options } = this.setup;
    const signal = options.resilience?.signal;
    const { parent } = options;
    // grpc.propagate.CANCELLATION is 8.
    const propagates = parent !== undefined && ((options.propagate_flags ?? 8) & 8) !== 0;
    if (signal === undefined && !propagates) return;
    const abort = (reason: unknown): void => this.abort(reason);
    this.#unfollow = [];
    for (const end of [
      signal === undefined ? undefined : followSignal(signal, abort),
      propagates ? followParent(parent, abort) : undefined,
    ]) {
      if (end !== undefined) this.#unfollow.push(end);
    }
  }

  protected abort(reason: unknown): void {
    if (!this.#ended) this.cancellation.cancel(reason);
  }

  /** The status of a call that ended without one from the host. */
  protected statusOf(error: unknown): OwnStatus {
    const empty = emptyMetadata(this.metadata);
    const { aborted, reason } = this.cancellation;
    if (!aborted) return statusOf(error, empty);
    return this.withReason(
      reason instanceof StatusError
        ? statusOf(reason, empty)
        : { code: CANCELLED, details: CANCELLED_ON_CLIENT, metadata: empty },
    );
  }

  /** A status that came of the caller's own abort tells its reason. */
  protected withReason(status: StatusObject): OwnStatus {
    const { aborted, reason } = this.cancellation;
    if (!aborted || status.code !== CANCELLED) return status;
    return reason instanceof StatusError ? status : { ...status, cause: reason };
  }

  /** Nothing more comes: what the call hung on is let go. Gives whether that is news. */
  protected end(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    if (this.#unfollow !== undefined) for (const end of this.#unfollow) end();
    return true;
  }

  /** Tells the caller how the call ended, unless it knows. */
  protected finish(status: StatusObject): void {
    if (this.end()) this.listener.onReceiveStatus?.(status);
  }

  /**
   * The same for what the pipeline decided by itself: on a later tick, when the caller has had the
   * time to listen. A stream's `'error'` without a listener would end the process.
   */
  protected finishLater(error: unknown): void {
    setImmediate(() => this.finish(this.statusOf(error)));
  }

  abstract start(metadata: Metadata, listener?: HostListener): void;
  abstract sendMessageWithContext(context: MessageContext, message: unknown): void;
  abstract startRead(): void;
  abstract halfClose(): void;
  abstract getPeer(): string;
  abstract getAuthContext(): ReturnType<HostCall['getAuthContext']>;

  sendMessage(message: unknown): void {
    this.sendMessageWithContext({}, message);
  }
}
