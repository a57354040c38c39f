/**
 * One attempt of a call that can be repeated (unary, or a server stream before its first message): a
 * call of the host's, and a promise of how it ends. What came back is kept until the pipeline has
 * decided that it is the answer.
 *
 *   opening --first message (stream)--> held --adopted--> flowing --status--> ended
 *      `--------------------status------------------------------------------------^
 */
import type {
  Deadline,
  InterceptingListener,
  InterceptorOptions,
  Metadata,
  StatusObject,
} from '@grpc/grpc-js';
import { type Call, isResilienceError } from '@resil/core';
import { maybeSent } from './classify.js';
import { CutListener } from './cut-listener.js';
import { toWall } from './deadlines.js';
import type { CallSetup } from './guarded-call.js';
import type { HostCall, MessageContext } from './host.js';
import {
  CANCELLED,
  CANCELLED_ON_CLIENT,
  DEADLINE_EXCEEDED,
  OK,
  StatusError,
  UNAVAILABLE,
} from './status.js';

/** Whose attempt it is. */
export interface AttemptOwner {
  readonly setup: CallSetup;
  readonly streaming: boolean;
  /** Whether an attempt may have reached the server; set by the attempts. */
  maybeSent: boolean;
  /** Whether the last attempt failed because there was no connection; set by the attempts. */
  unconnected: boolean;
  /** Deadline of a stream, in wall time. */
  readonly streamDeadline: number;
  /** What is sent. */
  readonly message: unknown;
  readonly messageContext: MessageContext;
  /** Metadata of the next attempt, which interceptors further in may change. */
  metadataFor(call: Call): Metadata;
  /** An attempt brought an answer. */
  answered(): void;
  /** What a stream brings after it was adopted. */
  flowed(message: unknown): void;
  /** How a stream ended that was adopted. */
  closed(status: StatusObject): void;
}

/** grpc-js' own timer may be a little early: then ours, which says whose limit it was, goes first. */
const OWN_TIMEOUT_MARGIN = 25;

/** Names of resolvers, which a peer's address doesn't begin with: the call was not given a connection. */
const UNRESOLVED = /^(?:dns|ipv4|ipv6|unix|unix-abstract|xds|passthrough):/;

let partResolve: (message: unknown) => void;
let partReject: (error: unknown) => void;
/** Shared by all attempts, so that a promise costs no closure; a promise calls it before its constructor returns. */
const captureParts = (
  resolve: (message: unknown) => void,
  reject: (error: unknown) => void,
): void => {
  partResolve = resolve;
  partReject = reject;
};

/** A call at the host. */
export class Attempt implements InterceptingListener {
  readonly #owner: AttemptOwner;
  readonly #call: Call;
  #host: HostCall | undefined;
  #stopListening: (() => void) | undefined;
  #resolve!: (message: unknown) => void;
  #reject!: (error: unknown) => void;
  #phase: 'opening' | 'held' | 'flowing' | 'ended' = 'opening';
  /** Response headers, if there were any. */
  headers: Metadata | undefined;
  message: unknown;
  /** Whether it succeeded, or a stream began. */
  answered = false;
  /** Whether there was a message: `null`, which grpc-js gives for none, counts. */
  received = false;
  status: StatusObject | undefined;
  error: unknown;

  constructor(owner: AttemptOwner, call: Call) {
    this.#owner = owner;
    this.#call = call;
  }

  /** Begins; resolves with the answer, or the first message of a stream. Throws what the host throws. */
  start(): Promise<unknown> {
    const owner = this.#owner;
    const call = this.#call;
    const { options, nextCall } = owner.setup;
    let { deadline } = options;
    if (owner.streaming) {
      if (owner.streamDeadline !== Infinity) deadline = owner.streamDeadline;
    } else if (call.deadline !== Infinity) deadline = toWall(call.clock, call.deadline);
    const host = nextCall(withDeadline(options, deadline));
    this.#host = host;
    const result = new Promise(captureParts);
    this.#resolve = partResolve;
    this.#reject = partReject;
    const metadata = owner.metadataFor(call);
    if (owner.unconnected && call.deadline !== Infinity) waitForReady(metadata);
    owner.unconnected = false;
    this.#stopListening = call.onAbort((reason) => this.abort(reason));
    host.start(metadata, new CutListener(this));
    host.sendMessageWithContext(owner.messageContext, owner.message);
    host.halfClose();
    if (owner.streaming) host.startRead();
    return result;
  }

  get host(): HostCall | undefined {
    return this.#host;
  }

  /** Whether it is a stream that has begun and not yet ended. */
  get begun(): boolean {
    return this.#phase === 'held' || this.#phase === 'flowing';
  }

  /** The stream is wanted: from now on what it brings goes to the owner. */
  adopt(): void {
    if (this.#phase === 'held') this.#phase = 'flowing';
  }

  /** The answer is not wanted: frees what a stream holds. */
  discard(): void {
    if (this.#phase !== 'held') return;
    this.#phase = 'ended';
    this.#host?.cancelWithStatus(CANCELLED, CANCELLED_ON_CLIENT);
  }

  onReceiveMetadata(metadata: Metadata): void {
    this.headers = metadata;
  }

  onReceiveMessage(message: unknown): void {
    if (this.#phase === 'flowing') {
      this.#owner.flowed(message);
      return;
    }
    this.message = message;
    this.received = true;
    if (!this.#owner.streaming || this.#phase !== 'opening') return;
    this.#phase = 'held';
    this.#answer();
  }

  onReceiveStatus(status: StatusObject): void {
    const before = this.#phase;
    if (before === 'ended') return;
    this.#phase = 'ended';
    if (before === 'opening' && this.#isOurTimeout(status)) return;
    this.status = status;
    if (before === 'flowing') this.#owner.closed(status);
    if (before !== 'opening') return;
    if (status.code === OK) {
      this.#answer();
      return;
    }
    const { code, details, metadata } = status;
    const sent = this.headers !== undefined || maybeSent(code, details, metadata);
    if (sent) this.#owner.maybeSent = true;
    else this.#owner.unconnected = code === UNAVAILABLE;
    this.#fail(new StatusError(status));
  }

  /** Ended by grpc-js' timer for a limit of ours: the pipeline is about to say so, with its name. */
  #isOurTimeout({ code, details, metadata }: StatusObject): boolean {
    const call = this.#call;
    if (code !== DEADLINE_EXCEEDED || call.deadline === Infinity || call.aborted) return false;
    if (call.remaining() > OWN_TIMEOUT_MARGIN) return false;
    if (maybeSent(code, details, metadata)) this.#owner.maybeSent = true;
    return true;
  }

  /** Ends it at the host, which answers with a status soon. */
  abort(reason: unknown): void {
    const host = this.#host;
    if (host === undefined) return;
    if (this.#phase === 'ended') {
      // Its status is held back until we are late by our own timer, or aborted before.
      if (this.#stopListening !== undefined) this.#fail(reason);
      return;
    }
    if (this.headers !== undefined || !UNRESOLVED.test(host.getPeer())) {
      this.#owner.maybeSent = true;
    }
    cancelHost(host, reason);
  }

  #answer(): void {
    this.#stop();
    this.answered = true;
    this.#owner.answered();
    this.#resolve(this.message);
  }

  #fail(error: unknown): void {
    this.#stop();
    this.error = error;
    this.#reject(error);
  }

  #stop(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
  }
}

/** Cancels with the status that tells why. */
export function cancelHost(host: HostCall, reason: unknown): void {
  if (reason instanceof StatusError) host.cancelWithStatus(reason.code, reason.details);
  else if (isResilienceError(reason) && reason.code === 'RESIL_TIMEOUT') {
    host.cancelWithStatus(DEADLINE_EXCEEDED, reason.message);
  } else host.cancelWithStatus(CANCELLED, CANCELLED_ON_CLIENT);
}

function withDeadline(options: InterceptorOptions, deadline: Deadline | undefined) {
  if (deadline === undefined || deadline === options.deadline) return options;
  return { ...options, deadline };
}

/**
 * A retry after "no connection" waits for one: by itself a channel that is between two tries to connect
 * refuses at once, and three attempts would be over before it tries again.
 */
function waitForReady(metadata: Metadata): void {
  const options = metadata.getOptions();
  if (options.waitForReady === undefined) metadata.setOptions({ ...options, waitForReady: true });
}
