/**
 * From a record to its partitions: assigns each message, splits the record into one send for each
 * partition, and puts the answers together. The first message of a topic whose partitions are not
 * known yet goes alone; kafkajs tells about the partitions while it is sent.
 */
import { isResilienceError, ResilienceError } from '@resil/core';
import type { Message, RecordMetadata, TopicMessages } from 'kafkajs';
import { mayBeWritten, meaningOf, rootOf } from './classify.js';
import { Lane, type LaneEntry, type SendSettings } from './lane.js';
import { type Partitions, UnknownPartitionError } from './partitioner.js';
import { Progress } from './progress.js';

/** Sends one record of one topic with one producer object. */
export type SendTopic = (
  topic: string,
  messages: Message[],
  settings: SendSettings,
) => Promise<RecordMetadata[]>;

/** What a record became: sends that wait, run or are done. */
export interface Parts {
  /** All that was answered, when all is; rejects when nothing of it is on its way any more. */
  readonly done: Promise<RecordMetadata[]>;
  /** Takes back what has not started. */
  withdraw(reason: unknown): void;
  /** Whether something has started that has not settled, or has failed. */
  readonly sent: boolean;
}

/** kafkajs resolved a send, and its answer lacks the partition that it was for. Code `RESIL_NOT_ACKNOWLEDGED`. */
export class NotAcknowledgedError extends ResilienceError {
  constructor(topic: string, partition: number | undefined) {
    super(
      'RESIL_NOT_ACKNOWLEDGED',
      `the answer to a send to '${topic}' lacks partition ${partition ?? '?'}; it was not written`,
      { strategy: 'kafkajs' },
    );
  }
}

/** The messages of a record that go to one partition. */
type Part = [partition: number, messages: Message[]];

/** What is known of a record that is being sent. */
interface Sending {
  readonly settings: SendSettings;
  readonly entries: LaneEntry[];
  withdrawn: { readonly reason: unknown } | undefined;
}

/** The first send of a topic, and those that wait for what it learns. */
interface Scout {
  settled: boolean;
  error: unknown;
  refused: { readonly reason: unknown } | undefined;
  readonly waiters: (() => void)[];
}

/** How often messages are sent again that an answer lacks. */
const MAX_RESENDS = 3;

/** Sends records partition by partition. */
export class Router {
  readonly #partitions: Partitions;
  readonly #send: SendTopic;
  readonly #halt: ((error: unknown) => unknown) | undefined;
  readonly #lanes = new Map<string, Lane>();
  /** Topics that are being looked at, and by what. */
  readonly #scouts = new Map<string, Scout>();

  /** With `halt`, a send that fails takes those with it that wait behind it; see {@link Lane}. */
  constructor(partitions: Partitions, send: SendTopic, halt?: (error: unknown) => unknown) {
    this.#partitions = partitions;
    this.#send = send;
    this.#halt = halt;
  }

  /** Rejects what waits for partitions of these topics. */
  refuse(topics: readonly string[], reason: unknown): void {
    for (const [name, lane] of this.#lanes) {
      if (topics.includes(name.slice(name.indexOf('/') + 1))) lane.refuse(reason);
    }
    for (const topic of topics) {
      const scout = this.#scouts.get(topic);
      if (scout === undefined) continue;
      scout.refused = { reason };
      for (const resolve of scout.waiters.splice(0)) resolve();
    }
  }

  /** Lanes in use. */
  get size(): number {
    return this.#lanes.size;
  }

  /** Sends messages of any number of topics, without those that `progress` has as written. */
  send(
    topicMessages: readonly TopicMessages[],
    settings: SendSettings,
    progress: Progress = new Progress(),
  ): Parts {
    const sending: Sending = { settings, entries: [], withdrawn: undefined };
    const done = all(topicMessages.map((part) => this.#sendTopic(part, sending, progress))).then(
      (answers) => answers.flat(),
    );
    done.catch(() => {});
    return {
      done,
      withdraw(reason): void {
        sending.withdrawn = { reason };
        for (const entry of sending.entries) entry.withdraw(reason);
      },
      get sent(): boolean {
        return sending.entries.some((entry) => entry.started);
      },
    };
  }

  async #sendTopic(
    { topic, messages }: TopicMessages,
    sending: Sending,
    progress: Progress,
  ): Promise<RecordMetadata[]> {
    const copies = messages.map((message) => ({ ...message }));
    const written: (readonly Message[])[] = [];
    const answers: RecordMetadata[] = [];
    const answered = async (part: readonly Message[], entry: LaneEntry): Promise<void> => {
      sending.entries.push(entry);
      answers.push(...(await entry.done));
      written.push(part);
    };
    try {
      const rest = progress.left(topic, copies);
      await this.#learn(topic, rest, sending, answered);
      const parts = this.#split(topic, rest);
      const send = ([partition, part]: Part): Promise<void> =>
        answered(part, this.#lane(topic, partition).add(part, sending.settings));
      const unknown = takeUnknown(parts, this.#partitions.count(topic));
      if (unknown !== undefined) await send(unknown);
      checkWanted(sending);
      await all(parts.map(send));
      return merged([...progress.answers(topic), ...answers]);
    } catch (error) {
      progress.add(topic, copies, written.flat(), answers);
      throw error;
    }
  }

  /** Has kafkajs tell of a topic's partitions, which it does while it sends something. */
  async #learn(
    topic: string,
    rest: Message[],
    sending: Sending,
    answered: (part: readonly Message[], entry: LaneEntry) => Promise<void>,
  ): Promise<void> {
    let released = false;
    // Who comes while others wait for a topic's partitions waits behind them.
    while (
      rest.length > 0 &&
      (!this.#partitions.knows(topic) || (!released && this.#scouts.has(topic)))
    ) {
      checkWanted(sending);
      const scout = this.#scouts.get(topic);
      if (scout !== undefined && !(released && scout.settled)) {
        await this.#follow(topic, scout);
      } else {
        const message = takeScout(rest);
        await answered([message], this.#scout(topic, message, sending.settings));
      }
      released = true;
    }
    checkWanted(sending);
  }

  /** Waits for somebody else's look at a topic, and fails with it if it learnt nothing. */
  async #follow(topic: string, scout: Scout): Promise<void> {
    await new Promise<void>((resolve) => scout.waiters.push(resolve));
    if (scout.refused !== undefined) throw scout.refused.reason;
    const failed = scout.error !== undefined && meaningOf(scout.error)?.fault === 'cluster';
    if (failed && this.#halt !== undefined) throw this.#halt(scout.error);
    if (this.#partitions.knows(topic)) return;
    if (failed) throw scout.error;
  }

  /** Sends one message of a topic that is not known. */
  #scout(topic: string, message: Message, settings: SendSettings): LaneEntry {
    const scout: Scout = { settled: false, error: undefined, refused: undefined, waiters: [] };
    this.#scouts.set(topic, scout);
    const done = this.#deliver(topic, [message], settings, undefined);
    const release = async (error: unknown): Promise<void> => {
      scout.settled = true;
      scout.error = error;
      while (scout.waiters.length > 0) {
        for (const resolve of scout.waiters.splice(0)) resolve();
        // They go on before anybody new does.
        await undefined;
      }
      if (this.#scouts.get(topic) === scout) this.#scouts.delete(topic);
    };
    done.then(() => release(undefined), release);
    return { done, started: true, withdraw: () => {} };
  }

  #split(topic: string, messages: readonly Message[]): Part[] {
    const parts = new Map<number, Message[]>();
    for (const message of messages) {
      const partition = this.#partitions.assign(topic, message);
      message.partition = partition;
      const part = parts.get(partition);
      if (part === undefined) parts.set(partition, [message]);
      else part.push(message);
    }
    return [...parts];
  }

  #lane(topic: string, partition: number): Lane {
    const name = `${partition}/${topic}`;
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = new Lane(
        (messages, settings) => this.#deliver(topic, messages, settings, partition),
        certainlyRefused,
        () => this.#lanes.delete(name),
        this.#halt,
      );
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  /** Sends messages of one partition until the answer names it. */
  async #deliver(
    topic: string,
    messages: Message[],
    settings: SendSettings,
    partition: number | undefined,
  ): Promise<RecordMetadata[]> {
    for (let resends = 0; ; resends += 1) {
      const metadata = await this.#send(topic, messages, settings).catch((error: unknown) => {
        const root = rootOf(error);
        throw root instanceof UnknownPartitionError ? root : error;
      });
      // Nobody answers then.
      if (settings.acks === 0) return metadata;
      const expected = partition ?? this.#partitions.assignedTo(messages[0] as Message);
      if (metadata.some((one) => one.topicName === topic && one.partition === expected)) {
        return metadata;
      }
      if (resends === MAX_RESENDS) throw new NotAcknowledgedError(topic, expected);
    }
  }
}

/** Whether an error says that somebody's messages were refused and none was written, so that sending the others again doubles nothing. */
function certainlyRefused(error: unknown): boolean {
  const meaning = meaningOf(error);
  return meaning !== undefined && meaning.fault !== 'cluster' && meaning.effect === 'none';
}

function checkWanted({ withdrawn }: Sending): void {
  if (withdrawn !== undefined) throw withdrawn.reason;
}

/**
 * All values, when all have settled: what is on its way may still be written. The error that leaves that
 * open goes first, a refusal of ours last.
 */
async function all<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const errors: unknown[] = [];
  const values: T[] = [];
  for (const one of await Promise.allSettled(promises)) {
    if (one.status === 'fulfilled') values.push(one.value);
    else errors.push(one.reason);
  }
  if (errors.length > 0) {
    throw (
      errors.find(mayBeWritten) ?? errors.find((error) => !isResilienceError(error)) ?? errors[0]
    );
  }
  return values;
}

/**
 * The message that goes first to a topic of which nothing is known: the one for the highest partition,
 * so that nothing is written if there is no such partition.
 */
function takeScout(messages: Message[]): Message {
  let at = 0;
  messages.forEach(({ partition }, index) => {
    if ((partition ?? -1) > (messages[at]?.partition ?? -1)) at = index;
  });
  return messages.splice(at, 1)[0] as Message;
}

/** Takes out the part that goes alone before the others: that of the highest partition if it is not known, as for the scout. */
function takeUnknown(parts: Part[], count: number): Part | undefined {
  let at = 0;
  parts.forEach(([partition], index) => {
    if (partition > (parts[at]?.[0] ?? -1)) at = index;
  });
  return (parts[at]?.[0] ?? -1) < count ? undefined : parts.splice(at, 1)[0];
}

/** One entry for each partition, as kafkajs answers a whole record: that with the lowest offset. */
function merged(answers: readonly RecordMetadata[]): RecordMetadata[] {
  const byPartition = new Map<number, RecordMetadata>();
  for (const answer of answers) {
    if (!byPartition.has(answer.partition)) byPartition.set(answer.partition, answer);
  }
  return [...byPartition.values()];
}
