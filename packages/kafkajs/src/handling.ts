/**
 * Runs handlers: the pipeline around them, heartbeats meanwhile, and what is to be done with a message
 * that can't be handled.
 *
 *   run --ok--------------------------------------------------> done
 *    |--refused, or failed while the circuit is not closed-----> held (the partition waits)
 *    |--failed in all its attempts--> sent on to a retry or dead-letter topic --> done
 *    |                                  |--can't be sent--------> held, and sent on later
 *    |                                  `--refused for good------> held until it is resumed, or skipped
 *    `--the group is shared out anew---> its error is passed on
 *
 * A message that fails as a probe of the circuit is held, not given up: whether it or what its handler
 * calls is at fault shows when another partition's message gets through. Where none does, the message
 * is given up after `maxHoldDuration`.
 */
import {
  type Call,
  type Clock,
  type ConsumerPauseReason,
  isRefusal,
  isResilienceError,
  report,
  systemClock,
} from '@resil/core';
import type { Producer } from 'kafkajs';
import { isRebalance } from './classify.js';
import type { ResolvedConsumerOptions } from './consumer-options.js';
import { giveUp, pastOf, type SentOn, Undeliverable } from './dead-letter.js';
import { type HandlerPipeline, handlerPipeline } from './handler-pipeline.js';
import { startHeartbeats } from './heartbeats.js';
import { type Failed, Memories, type MessagePlace } from './message-place.js';

/** What a handler learns of the run it is in, as `resilience` in its payload. */
export interface HandlerContext {
  /** Aborted when the run is not wanted any more: its time is over, or the partition went to another consumer. */
  readonly signal: AbortSignal;
  /** Number of the run, counting from 1. */
  readonly attempt: number;
  /** When the run must have ended, on the clock's scale; `Infinity` if it need not. */
  readonly deadline: number;
  /** Topic that the message was first read from, whatever retry topic it has come through. */
  readonly topic: string;
}

declare module 'kafkajs' {
  interface EachMessagePayload {
    /** Set by @resil/kafkajs. */
    resilience?: HandlerContext | undefined;
  }
  interface EachBatchPayload {
    /** Set by @resil/kafkajs. */
    resilience?: HandlerContext | undefined;
  }
}

/** Not done yet: the partition is to be left alone for a while. */
export interface Held {
  readonly kind: 'held';
  readonly reason: ConsumerPauseReason;
  readonly delay: number;
}

/** What became of messages. With `lost` they are done, and the group is being shared out anew. */
export type Handled = { readonly kind: 'done'; readonly lost?: unknown } | Held;

/** What became of the runs of a handler. */
export type Attempted = Handled | Failed;

export const DONE: Handled = Object.freeze({ kind: 'done' });

/** Work that is going on, so that it can be told to end. */
export interface Work {
  readonly stop: AbortController;
  /** Runs of the handler that have not ended. */
  running: number;
}

/** Reason of the abort when the consumer stops. */
const DRAINED: unknown = Object.freeze(
  Object.assign(new Error('the consumer stops'), { name: 'ConsumerStopping' }),
);

/** Runs handlers. An instance is shared by all messages of a consumer. */
export class Handling {
  readonly options: ResolvedConsumerOptions;
  readonly clock: Clock;
  readonly #parts: HandlerPipeline;
  readonly #producer: () => Pick<Producer, 'send'>;
  readonly #groupId: string | undefined;
  readonly #memories = new Memories();
  readonly #active = new Set<Work>();
  readonly #sleepers = new Set<() => void>();
  #draining = false;
  #endPatience: (() => void) | undefined;

  constructor(
    options: ResolvedConsumerOptions,
    producer: () => Pick<Producer, 'send'>,
    groupId?: string,
  ) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.#producer = producer;
    this.#groupId = groupId;
    this.#parts = handlerPipeline(options, () => this.#draining);
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Lets what runs finish, and begins nothing any more: what waits is held. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    for (const wake of [...this.#sleepers]) wake();
    for (const work of this.#active) if (work.running === 0) work.stop.abort(DRAINED);
    const { drainTimeout } = this.options;
    if (drainTimeout === false || this.#active.size === 0) return;
    this.#endPatience = this.clock.schedule(() => {
      for (const work of this.#active) work.stop.abort(DRAINED);
    }, drainTimeout);
  }

  /** Whether a message was sent to its retry topic by another consumer group. */
  isForeign({ topic, message }: MessagePlace): boolean {
    const { step, group } = pastOf(topic, message);
    return (
      step > 0 && group !== undefined && this.#groupId !== undefined && group !== this.#groupId
    );
  }

  /** Milliseconds until a message of a retry topic is to be handled. */
  delayOf({ topic, message }: MessagePlace): number {
    return Math.max(0, pastOf(topic, message).due - this.#epoch());
  }

  /** Handles one message. Rejects with the error of a rebalance alone. */
  message(
    place: MessagePlace,
    heartbeat: () => Promise<void>,
    run: (context: HandlerContext) => Promise<void>,
  ): Promise<Handled> {
    return this.alive(heartbeat, async (work) => {
      const attempted = await this.attempt(work, place, run);
      return attempted.kind === 'failed' ? this.giveUp(place, attempted) : attempted;
    });
  }

  /** Does work with heartbeats meanwhile; ends it when the partition goes to another consumer. */
  async alive(
    heartbeat: () => Promise<void>,
    body: (work: Work) => Promise<Handled>,
  ): Promise<Handled> {
    const work: Work = { stop: new AbortController(), running: 0 };
    const { heartbeatInterval } = this.options;
    const end = startHeartbeats(this.clock, heartbeatInterval, heartbeat, (error) =>
      work.stop.abort(error),
    );
    this.#active.add(work);
    try {
      const handled = await body(work);
      const { reason } = work.stop.signal;
      return handled.kind === 'done' && isRebalance(reason)
        ? { ...handled, lost: reason }
        : handled;
    } finally {
      end();
      this.#active.delete(work);
      if (this.#active.size === 0) this.#endPatience?.();
    }
  }

  /** Runs a handler for messages that stand or fall together, of which `head` is the first. */
  async attempt(
    work: Work,
    head: MessagePlace,
    run: (context: HandlerContext) => Promise<void>,
    once = false,
  ): Promise<Attempted> {
    const memory = this.#memories.of(head);
    if (memory?.kind === 'given-up') return memory.failed;
    const early = this.delayOf(head);
    if (early > 0) return held('not-due', early);
    if (this.#draining) return held('failed', this.options.holdDelay);
    const { topic } = pastOf(head.topic, head.message);
    const attributes = { kafkajs: { operation: 'handle', sent: true, once } } as const;
    let attempts = memory?.attempts ?? 0;
    let last: Call | undefined;
    try {
      await this.#parts.pipeline.execute(
        async (call) => {
          attempts += 1;
          last = call;
          work.running += 1;
          try {
            const { signal, attempt, deadline } = call;
            await run({ signal, attempt, deadline, topic });
          } finally {
            work.running -= 1;
          }
        },
        { signal: work.stop.signal, name: topic, attributes },
      );
      this.#memories.forget(head);
      return DONE;
    } catch (error) {
      // The partition is somebody else's now, whatever the handler says.
      if (isRebalance(work.stop.signal.reason)) throw work.stop.signal.reason;
      if (isRebalance(error)) throw error;
      if (work.stop.signal.aborted) return held('failed', this.options.holdDelay);
      const ran = last !== undefined;
      if (ran) this.#memories.keep(head, this.#tried(head, attempts));
      return this.#judge(head, attempts, error, ran ? last : undefined);
    }
  }

  /** Sends a message on to where it goes next. */
  async giveUp(place: MessagePlace, failed: Failed): Promise<Handled> {
    const { topic, partition, message } = place;
    const { attempts, error, permanent } = failed;
    const past = pastOf(topic, message);
    const { holdDelay } = this.options;
    const given = { topic, partition, message, past, attempts, error, group: this.#groupId };
    let sent: SentOn | undefined;
    try {
      sent = await giveUp(given, this.#producer(), this.options, this.#epoch(), permanent);
    } catch (failure) {
      if (failure instanceof Undeliverable) return this.#undeliverable(place, failed, failure);
      report(failure, 'sending on a message that can not be handled');
      // Its place is kept, and its handler is not run again.
      this.#memories.keep(place, { kind: 'given-up', failed });
      return held('undelivered', holdDelay);
    }
    if (sent === undefined) return held('failed', holdDelay);
    this.#memories.forget(place);
    this.#tellGivenUp(place, past.topic, sent, past.attempts + attempts, error);
    return DONE;
  }

  /** Trying again can't help: tells of it, and leaves the message to the user or passes it over. */
  #undeliverable(place: MessagePlace, failed: Failed, { to, error }: Undeliverable): Handled {
    const { partition, message } = place;
    const past = pastOf(place.topic, message);
    const skipped = this.options.whenUndeliverable === 'skip';
    const attempts = past.attempts + failed.attempts;
    const common = { strategy: 'consumer', to, attempts, skipped };
    this.#parts.pipeline.emit({ type: 'message.undeliverable', ...common, error }, past.topic);
    tell(this.options.onUndeliverable, 'onUndeliverable', {
      topic: past.topic,
      partition,
      offset: message.offset,
      to,
      attempts,
      error: failed.error,
      refusal: error,
      skipped,
    });
    if (skipped) {
      this.#memories.forget(place);
      return DONE;
    }
    this.#memories.keep(place, { kind: 'given-up', failed });
    return held('undelivered', Infinity);
  }

  /** Waits, with heartbeats; ends early by draining. */
  async wait(delay: number, heartbeat: () => Promise<void>): Promise<void> {
    const { heartbeatInterval } = this.options;
    for (let left = delay; left > 0 && !this.#draining; left -= heartbeatInterval) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          cancel();
          this.#sleepers.delete(wake);
          resolve();
        };
        const cancel = this.clock.schedule(wake, Math.min(heartbeatInterval, left));
        this.#sleepers.add(wake);
      });
      await heartbeat();
    }
  }

  /** Tells that a partition is left alone; the result tells that it is not any more. */
  tellPaused(topic: string, partition: number, { reason, delay }: Held): () => void {
    const { pipeline } = this.#parts;
    const common = { strategy: 'consumer', partition };
    pipeline.emit({ type: 'consumer.paused', ...common, reason, delay }, topic);
    return () => pipeline.emit({ type: 'consumer.resumed', ...common }, topic);
  }

  /** What a failure means. */
  #judge(head: MessagePlace, attempts: number, error: unknown, last: Call | undefined): Attempted {
    const { holdDelay } = this.options;
    const failed: Failed = { kind: 'failed', error, attempts, permanent: false };
    if (isRefusal(error)) {
      // What the handler calls is down, and the message waits.
      if (last !== undefined && this.#overdue(head)) return failed;
      return held('refused', error.retryAfter ?? holdDelay);
    }
    const verdict = this.#verdict(error, last);
    if (!verdict.repeat) return { ...failed, permanent: true };
    if (this.#draining) return held('failed', holdDelay);
    const { breaker } = this.#parts;
    const down = verdict.counts && breaker !== undefined && breaker.state !== 'closed';
    return down && !this.#overdue(head) ? held('refused', holdDelay) : failed;
  }

  #tried(head: MessagePlace, attempts: number): { kind: 'tried'; attempts: number; since: number } {
    const memory = this.#memories.of(head);
    const since = memory?.kind === 'tried' ? memory.since : this.clock.now();
    return { kind: 'tried', attempts, since };
  }

  /** Whether a message has kept its partition waiting for too long. */
  #overdue(head: MessagePlace): boolean {
    const memory = this.#memories.of(head);
    const since = memory?.kind === 'tried' ? memory.since : this.clock.now();
    return this.clock.now() - since >= this.options.maxHoldDuration;
  }

  #verdict(error: unknown, call: Call | undefined): { counts: boolean; repeat: boolean } {
    // An attempt that took too long counts, whatever classify says.
    if (call === undefined || isResilienceError(error)) return { counts: true, repeat: true };
    try {
      const verdict = this.#parts.classify({ ok: false, error, duration: 0 }, call);
      if (typeof verdict !== 'string') {
        return { counts: verdict.kind === 'failure', repeat: verdict.repeat };
      }
      return { counts: verdict === 'failure', repeat: verdict === 'failure' };
    } catch {
      // The pipeline has reported it.
      return { counts: true, repeat: true };
    }
  }

  #tellGivenUp(
    { partition, message: { offset } }: MessagePlace,
    topic: string,
    { to, delay, omitted }: SentOn,
    attempts: number,
    error: unknown,
  ): void {
    const common = { strategy: 'consumer', to, attempts, error };
    this.#parts.pipeline.emit(
      delay === undefined
        ? { type: 'message.dead-lettered', ...common }
        : { type: 'message.retried', ...common, delay },
      topic,
    );
    const message = { topic, partition, offset, to, attempts, error, omitted };
    tell(this.options.onGivenUp, 'onGivenUp', message);
  }

  #epoch(): number {
    return this.clock.epoch?.() ?? this.clock.now();
  }
}

function tell<T>(listener: ((message: T) => void) | undefined, name: string, message: T): void {
  try {
    listener?.(message);
  } catch (failure) {
    report(failure, name);
  }
}

function held(reason: ConsumerPauseReason, delay: number): Held {
  return { kind: 'held', reason, delay };
}
