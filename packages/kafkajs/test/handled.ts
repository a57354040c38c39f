/** What the unit tests of handling share: messages without a broker, and a producer that keeps what it is given. */
import { VirtualClock } from '@resil/testing';
import type { KafkaMessage, Message, ProducerRecord } from 'kafkajs';
import { type ConsumerOptions, resolveConsumerOptions } from '../src/consumer-options.js';
import { Handling } from '../src/handling.js';
import type { MessagePlace } from '../src/message-place.js';

export function message(offset: number, headers: KafkaMessage['headers'] = {}): KafkaMessage {
  return {
    key: Buffer.from('k'),
    value: Buffer.from(String(offset)),
    offset: String(offset),
    timestamp: '0',
    attributes: 0,
    headers,
  } as KafkaMessage;
}

export function place(
  offset: number,
  {
    topic = 'orders',
    partition = 0,
    headers = {},
  }: Partial<MessagePlace> & {
    headers?: KafkaMessage['headers'];
  } = {},
): MessagePlace {
  return { topic, partition, message: message(offset, headers) };
}

/** Handling on a virtual clock. */
export class Bench {
  readonly clock = new VirtualClock();
  readonly handling: Handling;
  /** What was sent on: topic and message. */
  readonly sent: { readonly topic: string; readonly message: Message }[] = [];
  /** Set to make sending on fail. */
  broken: Error | undefined;
  /** Set to have some messages refused. */
  refuse: ((topic: string, message: Message) => Error | undefined) | undefined;
  beats = 0;
  /** Set to make heartbeats fail. */
  lost: unknown;

  constructor(options: ConsumerOptions = {}, groupId?: string) {
    const send = async ({ topic, messages }: ProducerRecord) => {
      if (this.broken !== undefined) throw this.broken;
      for (const one of messages) {
        const refusal = this.refuse?.(topic, one);
        if (refusal !== undefined) throw refusal;
        this.sent.push({ topic, message: one });
      }
      return [];
    };
    this.handling = new Handling(
      resolveConsumerOptions({
        retry: { maxAttempts: 3, baseDelay: 100, jitter: 'none' },
        clock: this.clock,
        random: () => 0,
        ...options,
      }),
      () => ({ send }),
      groupId,
    );
  }

  readonly heartbeat = async (): Promise<void> => {
    this.beats += 1;
    if (this.lost !== undefined) throw this.lost;
  };

  /** Runs until it settles, with virtual time passing. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    return this.clock.runUntilSettled(promise);
  }

  handle(
    where: MessagePlace,
    run: Parameters<Handling['message']>[2],
  ): ReturnType<Handling['message']> {
    return this.settle(this.handling.message(where, this.heartbeat, run));
  }
}
