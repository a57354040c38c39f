/**
 * A call whose request is a stream: client-streaming or bidi. It is let in by the pipeline's guards,
 * held to its deadline, and tells the breaker how it ended; it is never repeated, because what was
 * written can't be written again. What the caller writes before it is let in waits; a stream of
 * Node's waits for each message to be taken, so that is one message.
 */
import type { InterceptingListener, Metadata, StatusObject } from '@grpc/grpc-js';
import type { Admission, Outcome } from '@resil/core';
import { cancelHost } from './attempt.js';
import { tellContext } from './context-metadata.js';
import { CutListener } from './cut-listener.js';
import { GuardedCall } from './guarded-call.js';
import type { HostCall, HostListener, MessageContext } from './host.js';
import { OK, StatusError } from './status.js';
import type { StreamProgress } from './stream-guard.js';

/** What the caller wants done, before it can be. */
type Step = (host: HostCall) => void;

/** A client-streaming or bidi call. */
export class StreamingCall
  extends GuardedCall
  implements HostCall, InterceptingListener, StreamProgress
{
  #host: HostCall | undefined;
  #admission: Admission | undefined;
  #stopListening: (() => void) | undefined;
  #waiting: Step[] = [];
  #unwritten: MessageContext[] = [];
  #answerListeners: (() => void)[] | undefined;
  /** A stream is let in once, and settles when it ends: there is nothing to hold a guard for. */
  readonly live = false;

  start(metadata: Metadata, listener: HostListener = {}): void {
    this.metadata = metadata;
    this.listener = listener;
    this.follow();
    this.setup.lanes.streaming.admit(this).then(
      (admission) => this.#admitted(admission),
      (error) => {
        this.finishLater(error);
        this.#dropUnwritten();
      },
    );
  }

  sendMessageWithContext(context: MessageContext, message: unknown): void {
    if (this.#host !== undefined) this.#host.sendMessageWithContext(context, message);
    else if (this.ended) taken(context);
    else {
      this.#unwritten.push(context);
      this.#waiting.push((host) => host.sendMessageWithContext(context, message));
    }
  }

  halfClose(): void {
    this.#do((host) => host.halfClose());
  }

  startRead(): void {
    this.#do((host) => host.startRead());
  }

  getPeer(): string {
    return this.#host?.getPeer() ?? 'unknown';
  }

  getAuthContext(): ReturnType<HostCall['getAuthContext']> {
    return this.#host?.getAuthContext?.() ?? null;
  }

  onReceiveMetadata(metadata: Metadata): void {
    this.#answered();
    this.listener.onReceiveMetadata?.(metadata);
  }

  onReceiveMessage(message: unknown): void {
    // For a call without an answer grpc-js gives `null`.
    if (message !== null) this.#answered();
    this.listener.onReceiveMessage?.(message);
  }

  onReceiveStatus(status: StatusObject): void {
    if (this.ended) return;
    this.#stopListening?.();
    this.#admission?.settle(
      status.code === OK
        ? { ok: true, value: undefined }
        : { ok: false, error: new StatusError(status) },
    );
    this.finish(this.withReason(status));
  }

  atEnd(_listener: (outcome: Outcome) => void): void {}

  atAnswer(listener: () => void): void {
    this.#answerListeners ??= [];
    this.#answerListeners.push(listener);
  }

  #admitted(admission: Admission): void {
    const { options, nextCall } = this.setup;
    const { wallDeadline } = this;
    this.#admission = admission;
    try {
      const host = nextCall(
        wallDeadline === Infinity ? options : { ...options, deadline: wallDeadline },
      );
      this.#host = host;
      this.maybeSent = true;
      if (this.setup.route.sendContext) tellContext(this.metadata, admission.call);
      host.start(this.metadata, new CutListener(this));
      this.#stopListening = admission.call.onAbort((reason) => cancelHost(host, reason));
      this.#unwritten = [];
      for (const step of this.#waiting.splice(0)) step(host);
    } catch (error) {
      admission.settle({ ok: false, error });
      this.finishLater(error);
      this.#dropUnwritten();
    }
  }

  #do(step: Step): void {
    if (this.#host !== undefined) step(this.#host);
    else if (!this.ended) this.#waiting.push(step);
  }

  #answered(): void {
    const listeners = this.#answerListeners;
    this.#answerListeners = undefined;
    for (const listener of listeners ?? []) listener();
  }

  /** What was written goes nowhere, but whoever writes must not wait for it. */
  #dropUnwritten(): void {
    this.#waiting = [];
    for (const context of this.#unwritten.splice(0)) taken(context);
  }
}

function taken(context: MessageContext): void {
  const { callback } = context;
  if (callback !== undefined) setImmediate(callback);
}
