/**
 * One message and its handler: the pipeline around it, heartbeats meanwhile, and what is to be done
 * when it can't be handled.
 */
import {
  type Call,
  type Clock,
  isRefusal,
  isResilienceError,
  type Pipeline,
  report,
  standard,
  systemClock,
} from '@resil/core';
import type { KafkaMessage, Producer } from 'kafkajs';
import { isRebalance } from './classify.js';
import { type ConsumerOptions, consumerDefaults } from './consumer-options.js';
import { giveUp, pastOf } from './dead-letter.js';

/** What a handler learns of the run it is in, as `resilience` in its payload. */
export interface HandlerContext {
  /** Aborted when the run is not wanted any more: its time is over, or the partition went to another consumer. */
  readonly signal: AbortSignal;
  /** Number of the run, counting from 1. */
  readonly attempt: number;
  /** When the run must have ended, on the clock's scale; `Infinity` if it need not. */
  readonly deadline: number;
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

/** What became of the work: done, or to be held and tried again after a delay. */
export type Handled = { readonly done: true } | { readonly done: false; readonly delay: number };

const DONE: Handled = Object.freeze({ done: true });

/** Where a message is. */
export interface MessagePlace {
  readonly topic: string;
  readonly partition: number;
  readonly message: KafkaMessage;
}

/** Runs handlers. An instance is shared by all messages of a consumer. */
export class Handling {
  readonly options: ConsumerOptions;
  readonly clock: Clock;
  readonly #pipeline: Pipeline;
  readonly #send: () => Pick<Producer, 'send'>;
  #draining = false;

  constructor(options: ConsumerOptions, send: () => Pick<Producer, 'send'>) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.#send = send;
    const { name = consumerDefaults.name, retry, circuitBreaker, classify, random } = options;
    const shouldRetry = retry === false ? undefined : retry?.shouldRetry;
    this.#pipeline = standard({
      name,
      key: name,
      clock: this.clock,
      random,
      totalTimeout: false,
      attemptTimeout: options.attemptTimeout ?? consumerDefaults.attemptTimeout,
      bulkhead: options.bulkhead ?? false,
      circuitBreaker,
      classify,
      retry:
        retry === false
          ? false
          : {
              budget: false,
              ...retry,
              shouldRetry: (error, call) =>
                !this.#draining &&
                !isRebalance(error) &&
                !isRefusal(error) &&
                (shouldRetry?.(error, call) ?? true),
            },
    });
  }

  /** The pipeline, for its events. */
  get pipeline(): Pipeline {
    return this.#pipeline;
  }

  /** Milliseconds since 1970. */
  epoch(): number {
    return this.clock.epoch?.() ?? this.clock.now();
  }

  /** Repeats nothing any more: what runs is to end soon. */
  drain(): void {
    this.#draining = true;
  }

  /** Milliseconds until a message of a retry topic is to be handled. */
  delayOf({ topic, message }: MessagePlace): number {
    return Math.max(0, pastOf(topic, message).due - this.epoch());
  }

  /**
   * Runs a handler for messages that stand or fall together, and gives them up when it fails for good.
   * Rejects with the error of a rebalance as it is.
   */
  async handle(
    messages: () => readonly MessagePlace[],
    heartbeat: () => Promise<void>,
    work: (context: HandlerContext) => Promise<void>,
  ): Promise<Handled> {
    const stop = new AbortController();
    const end = this.#beat(heartbeat, (error) => stop.abort(error));
    let attempts = 0;
    let permanent = false;
    try {
      await this.#pipeline.execute(
        async (call: Call) => {
          attempts += 1;
          try {
            await work({ signal: call.signal, attempt: call.attempt, deadline: call.deadline });
          } catch (error) {
            permanent = this.#isPermanent(error, call);
            throw error;
          }
        },
        { signal: stop.signal, name: 'handle', attributes: HANDLE },
      );
      return DONE;
    } catch (error) {
      // The partition is somebody else's now, whatever the handler says.
      if (stop.signal.aborted) throw stop.signal.reason;
      if (isRebalance(error)) throw error;
      // Refused: what the handler calls is down, and the message waits.
      if (isRefusal(error)) {
        const delay = isResilienceError(error) ? error.retryAfter : undefined;
        return { done: false, delay: delay ?? consumerDefaults.holdDelay };
      }
      if (this.#draining && !permanent) return { done: false, delay: consumerDefaults.holdDelay };
      return await this.#giveUp(messages(), attempts, error, permanent);
    } finally {
      end();
    }
  }

  /** Waits, with heartbeats; ends early by draining. */
  async wait(delay: number, heartbeat: () => Promise<void>): Promise<void> {
    const step = this.options.heartbeatInterval ?? consumerDefaults.heartbeatInterval;
    for (let left = delay; left > 0 && !this.#draining; left -= step) {
      await new Promise<void>((resolve) => {
        this.clock.schedule(resolve, Math.min(step, left));
      });
      await heartbeat();
    }
  }

  async #giveUp(
    messages: readonly MessagePlace[],
    attempts: number,
    error: unknown,
    permanent: boolean,
  ): Promise<Handled> {
    for (const { topic, partition, message } of messages) {
      const past = pastOf(topic, message);
      const given = { topic, partition, message, past, attempts, error };
      let to: string | undefined;
      try {
        to = await giveUp(given, this.#send(), this.options, this.epoch(), permanent);
      } catch (failure) {
        report(failure, 'sending a message to its dead-letter topic');
      }
      // Its place is kept: it is handled again, rather than lost.
      if (to === undefined) return { done: false, delay: consumerDefaults.holdDelay };
      const { offset } = message;
      const total = past.attempts + attempts;
      this.#tell({ topic: past.topic, partition, offset, to, attempts: total, error });
    }
    return DONE;
  }

  #tell(message: Parameters<NonNullable<ConsumerOptions['onGivenUp']>>[0]): void {
    try {
      this.options.onGivenUp?.(message);
    } catch (error) {
      report(error, 'onGivenUp');
    }
  }

  #isPermanent(error: unknown, call: Call): boolean {
    const { classify } = this.options;
    if (classify === undefined || isResilienceError(error)) return false;
    try {
      const verdict = classify({ ok: false, error, duration: 0 }, call);
      return (typeof verdict === 'string' ? verdict : verdict.kind) === 'ignored';
    } catch {
      return false;
    }
  }

  /** Sends heartbeats until told to end; tells when the partition has gone to another consumer. */
  #beat(heartbeat: () => Promise<void>, lost: (error: unknown) => void): () => void {
    const interval = this.options.heartbeatInterval ?? consumerDefaults.heartbeatInterval;
    let ended = false;
    let cancel = (): void => {};
    const next = (): void => {
      cancel = this.clock.schedule(() => {
        heartbeat().then(
          () => ended || next(),
          (error: unknown) => {
            if (ended) return;
            if (isRebalance(error)) lost(error);
            else next();
          },
        );
      }, interval);
    };
    next();
    return () => {
      ended = true;
      cancel();
    };
  }
}

const HANDLE = Object.freeze({
  kafkajs: Object.freeze({ operation: 'handle', sent: true }),
} as const);
