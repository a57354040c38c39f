/**
 * A call with one request: unary, or a server stream. It is sent as often as the pipeline wants until
 * there is an answer, which for a stream is its first message. From then on a stream goes straight to
 * the caller, at the caller's pace, and is never repeated.
 */
import type { Metadata, StatusObject } from '@grpc/grpc-js';
import type { Call, Outcome } from '@resil/core';
import { AnswerStream, messagesOf } from './answer-stream.js';
import { Attempt, type AttemptOwner } from './attempt.js';
import { tellContext } from './context-metadata.js';
import { type CallSetup, GuardedCall } from './guarded-call.js';
import {
  emptyMetadata,
  type HostCall,
  type HostListener,
  type MessageContext,
  okStatus,
} from './host.js';
import { OK, StatusError } from './status.js';
import type { StreamProgress } from './stream-guard.js';

/** How many attempts were made before, for the server (gRFC A6). */
const PREVIOUS_ATTEMPTS = 'grpc-previous-rpc-attempts';

const NONE: readonly Attempt[] = [];

/** A unary call or a server stream. */
export class ReplayableCall extends GuardedCall implements HostCall, AttemptOwner, StreamProgress {
  readonly streaming: boolean;
  message: unknown;
  messageContext: MessageContext = {};
  unconnected = false;
  #running = false;
  /** The attempts that were made, the latest last. */
  #attempts: readonly Attempt[] = NONE;
  /** What the host threw; it goes to the caller if the caller is still there. */
  #thrown: { readonly error: unknown } | undefined;
  /** The stream that the caller reads: the host's, or one made of a fallback's answer. */
  #live: Attempt | undefined;
  #made: AnswerStream | undefined;
  #endListeners: ((outcome: Outcome) => void)[] | undefined;
  #answerListeners: (() => void)[] | undefined;

  constructor(setup: CallSetup) {
    super(setup);
    this.streaming = this.kind === 'server-stream';
  }

  start(metadata: Metadata, listener: HostListener = {}): void {
    this.metadata = metadata;
    this.listener = listener;
  }

  sendMessageWithContext(context: MessageContext, message: unknown): void {
    this.messageContext = context;
    this.message = message;
  }

  halfClose(): void {
    if (this.#running) return;
    this.follow();
    this.#run();
    const thrown = this.#thrown;
    // As bare: a client that is closed throws where it is called.
    if (thrown !== undefined && this.end()) throw thrown.error;
  }

  startRead(): void {
    if (this.#live !== undefined) this.#live.host?.startRead();
    else this.#made?.startRead();
  }

  getPeer(): string {
    return this.#attempts.at(-1)?.host?.getPeer() ?? 'unknown';
  }

  getAuthContext(): ReturnType<HostCall['getAuthContext']> {
    return this.#attempts.at(-1)?.host?.getAuthContext?.() ?? null;
  }

  protected override abort(reason: unknown): void {
    if (this.ended || this.cancellation.aborted) return;
    super.abort(reason);
    // Those that the pipeline still waits for have heard of it by their call.
    for (const attempt of this.#attempts) if (attempt.begun) attempt.abort(reason);
    if (!this.#running) this.#run();
    if (this.#made === undefined) return;
    this.#made.cancel();
    this.finishLater(reason);
  }

  // What an attempt asks of its call.

  get streamDeadline(): number {
    return this.wallDeadline;
  }

  metadataFor(call: Call): Metadata {
    const { attempt } = call;
    const metadata = this.metadata.clone();
    if (attempt > 1) metadata.set(PREVIOUS_ATTEMPTS, String(attempt - 1));
    if (this.setup.route.sendContext) tellContext(metadata, call);
    return metadata;
  }

  answered(): void {
    for (const listener of this.#answerListeners ?? []) listener();
  }

  flowed(message: unknown): void {
    this.listener.onReceiveMessage?.(message);
  }

  closed(status: StatusObject): void {
    if (!this.end()) return;
    this.#live = undefined;
    const outcome: Outcome =
      status.code === OK
        ? { ok: true, value: undefined, duration: 0 }
        : { ok: false, error: new StatusError(status), duration: 0 };
    for (const listener of this.#endListeners ?? []) listener(outcome);
    this.listener.onReceiveStatus?.(this.withReason(status));
  }

  // What a guard around a stream asks of it.

  /** Of the stream that the pipeline is just letting out: it was begun, and has not ended. */
  get live(): boolean {
    return this.#attempts.some((attempt) => attempt.begun);
  }

  atEnd(listener: (outcome: Outcome) => void): void {
    this.#endListeners ??= [];
    this.#endListeners.push(listener);
  }

  atAnswer(listener: () => void): void {
    this.#answerListeners ??= [];
    this.#answerListeners.push(listener);
  }

  #run(): void {
    this.#running = true;
    const { unary, serverStream } = this.setup.lanes;
    (this.streaming ? serverStream : unary)
      .execute((call) => this.#attempt(call), this)
      .then(
        (value) => this.#succeeded(value),
        (error) => this.#failed(error),
      );
  }

  #attempt(call: Call): Promise<unknown> {
    const attempt = new Attempt(this, call);
    // Mostly the only one: an array that is written down has no room to grow, one that grew has.
    this.#attempts = this.#attempts === NONE ? [attempt] : [...this.#attempts, attempt];
    try {
      return attempt.start();
    } catch (error) {
      this.#thrown = { error };
      return Promise.reject(error);
    }
  }

  #succeeded(value: unknown): void {
    const attempt = this.#attempts.findLast((made) => made.answered && made.message === value);
    this.#discardOthers(attempt);
    if (attempt === undefined) this.#answerWith(value);
    else if (this.streaming) this.#adopt(attempt);
    else if (this.end()) this.#deliver(attempt, attempt.status as StatusObject);
  }

  #failed(error: unknown): void {
    const attempt = this.#attempts.findLast((made) => made.error === error && made.status);
    this.#discardOthers(undefined);
    if (attempt === undefined) this.finishLater(error);
    else if (this.end()) {
      this.#deliver(attempt, this.withReason(attempt.status as StatusObject));
    }
  }

  /** Everything that an attempt brought, as the host would have. */
  #deliver({ headers, received, message }: Attempt, status: StatusObject): void {
    const { listener } = this;
    if (headers !== undefined) listener.onReceiveMetadata?.(headers);
    if (received) listener.onReceiveMessage?.(message);
    listener.onReceiveStatus?.(status);
  }

  #adopt(attempt: Attempt): void {
    this.#live = attempt;
    attempt.adopt();
    if (attempt.headers !== undefined) this.listener.onReceiveMetadata?.(attempt.headers);
    if (attempt.received) this.listener.onReceiveMessage?.(attempt.message);
    // It may have ended while the pipeline let it out.
    if (attempt.status !== undefined) this.closed(attempt.status);
  }

  /** An answer that no attempt brought: a fallback's, a cache's. */
  #answerWith(value: unknown): void {
    const { listener } = this;
    const empty = emptyMetadata(this.metadata);
    listener.onReceiveMetadata?.(empty);
    if (!this.streaming) {
      listener.onReceiveMessage?.(value);
      this.finish(okStatus(empty));
      return;
    }
    this.#made = new AnswerStream(messagesOf(value), {
      message: (message) => listener.onReceiveMessage?.(message),
      end: () => this.finish(okStatus(empty)),
      fail: (error) => this.finishLater(error),
    });
    this.#made.startRead();
  }

  #discardOthers(wanted: Attempt | undefined): void {
    if (!this.streaming) return;
    for (const attempt of this.#attempts) if (attempt !== wanted) attempt.discard();
  }
}
