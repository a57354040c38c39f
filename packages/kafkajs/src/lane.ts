/**
 * A lane: the sends of one partition, one at a time, in order. What waits goes out together with the
 * next one, so that waiting costs no throughput.
 *
 * One at a time, because kafkajs otherwise loses order under retries, and loses messages with an
 * idempotent producer: when an answer is lost it takes the sequence number back, and the next send of
 * the partition is written under that number and dropped by the broker as a duplicate. One partition
 * for each send, because a send to several brokers resolves when one of them died without having
 * written its part.
 *
 * The other way, one send for all partitions and again for those that its answer lacks, was slower: 74
 * against 103 sends a second (idempotent: 77 against 218; bare 46 and 61), 10 senders of 60 messages over
 * 6 partitions on three brokers. `pnpm --filter @resil/kafkajs soak throughput` measures it.
 */
import type { Message, ProducerRecord, RecordMetadata } from 'kafkajs';

/** How a send is to be made; sends that differ in it don't go out together. */
export interface SendSettings {
  readonly acks: number | undefined;
  readonly timeout: number | undefined;
  readonly compression: ProducerRecord['compression'];
}

/** A send of one partition that waits or runs. */
export interface LaneEntry {
  readonly done: Promise<RecordMetadata[]>;
  /** Whether kafkajs has begun to send it. */
  readonly started: boolean;
  /** Takes it back if it is not on its way; `done` rejects with `reason`. What is on its way is not sent again. */
  withdraw(reason: unknown): void;
}

/** Sends messages of one partition. */
export type SendPart = (messages: Message[], settings: SendSettings) => Promise<RecordMetadata[]>;

interface Waiting extends LaneEntry {
  readonly messages: Message[];
  readonly settings: SendSettings;
  readonly size: number;
  started: boolean;
  /** Goes out by itself: together with others it was refused. */
  alone: boolean;
  /** Whoever asked for it waits no more. */
  abandoned: boolean;
  resolve(metadata: RecordMetadata[]): void;
  reject(error: unknown): void;
}

/** Most messages, and bytes of keys and values, that go out together: half of what a broker takes by default. */
const MAX_MESSAGES = 1_000;
const MAX_BYTES = 512 * 1024;

/** The lane of a partition. */
export class Lane {
  readonly #send: SendPart;
  readonly #splits: (error: unknown) => boolean;
  readonly #halt: ((error: unknown) => unknown) | undefined;
  readonly #idle: () => void;
  readonly #waiting: Waiting[] = [];
  #busy = false;

  /**
   * `splits` tells of an error whether sends that went out together are to go out one by one: one of
   * them may be what the broker refuses. `idle` is called when nothing runs and nothing waits. `halt`
   * gives what those that wait are rejected with when one before them fails with an error that doesn't
   * split; without it they go on.
   */
  constructor(
    send: SendPart,
    splits: (error: unknown) => boolean,
    idle: () => void,
    halt?: (error: unknown) => unknown,
  ) {
    this.#send = send;
    this.#halt = halt;
    this.#splits = splits;
    this.#idle = idle;
  }

  /** Sends messages when those before have settled. */
  add(messages: Message[], settings: SendSettings): LaneEntry {
    let resolve!: (metadata: RecordMetadata[]) => void;
    let reject!: (error: unknown) => void;
    const done = new Promise<RecordMetadata[]>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    // Whoever waits hears of it through its own call.
    done.catch(() => {});
    const entry: Waiting = {
      messages,
      settings,
      size: messages.reduce((sum, message) => sum + sizeOf(message), 0),
      started: false,
      alone: false,
      abandoned: false,
      done,
      resolve,
      reject,
      withdraw: (reason) => {
        entry.abandoned = true;
        const at = this.#waiting.indexOf(entry);
        if (at < 0) return;
        this.#waiting.splice(at, 1);
        reject(reason);
      },
    };
    this.#waiting.push(entry);
    if (!this.#busy) void this.#work();
    return entry;
  }

  /** Rejects what waits. */
  refuse(reason: unknown): void {
    for (const entry of this.#waiting.splice(0)) entry.reject(reason);
  }

  async #work(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      // What is asked for in the same turn goes out together.
      if (this.#waiting.length === 1) await undefined;
      const group = this.#take();
      if (group.length > 0) await this.#run(group);
    }
    this.#busy = false;
    this.#idle();
  }

  /** The entries at the front that may go out together. */
  #take(): Waiting[] {
    const group: Waiting[] = [];
    let count = 0;
    let size = 0;
    for (const entry of this.#waiting) {
      const first = group[0];
      count += entry.messages.length;
      size += entry.size;
      if (first !== undefined) {
        if (count > MAX_MESSAGES || size > MAX_BYTES) break;
        if (first.alone || entry.alone) break;
        if (!sameSettings(first.settings, entry.settings)) break;
      }
      group.push(entry);
    }
    this.#waiting.splice(0, group.length);
    for (const entry of group) entry.started = true;
    return group;
  }

  async #run(group: readonly Waiting[]): Promise<void> {
    const [first] = group;
    if (first === undefined) return;
    const messages = group.length === 1 ? first.messages : group.flatMap((one) => one.messages);
    try {
      const metadata = await this.#send(messages, first.settings);
      let before = 0;
      for (const entry of group) {
        entry.resolve(before === 0 ? metadata : metadata.map((one) => shifted(one, before)));
        before += entry.messages.length;
      }
    } catch (error) {
      const splits = this.#splits(error);
      if (group.length > 1 && splits) {
        this.#putBack(group, error);
        return;
      }
      for (const entry of group) entry.reject(error);
      if (this.#halt !== undefined && !splits) this.refuse(this.#halt(error));
    }
  }

  /** Has those that were refused together go one by one, before what waits; nobody sends for who has left. */
  #putBack(group: readonly Waiting[], error: unknown): void {
    for (const entry of group) {
      entry.alone = true;
      if (entry.abandoned) entry.reject(error);
    }
    const left = group.filter((entry) => !entry.abandoned);
    this.#waiting.unshift(...left);
    // Who has left may have gone into the outbox.
    if (left.length < group.length && this.#halt !== undefined) this.refuse(this.#halt(error));
  }
}

/** What the broker told of all that went out together, for those that stood further back. */
function shifted(metadata: RecordMetadata, by: number): RecordMetadata {
  const { baseOffset } = metadata;
  if (baseOffset === undefined || !/^\d+$/.test(baseOffset)) return metadata;
  return { ...metadata, baseOffset: String(BigInt(baseOffset) + BigInt(by)) };
}

function sameSettings(a: SendSettings, b: SendSettings): boolean {
  return a.acks === b.acks && a.timeout === b.timeout && a.compression === b.compression;
}

function sizeOf({ key, value }: Message): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + 70;
}
