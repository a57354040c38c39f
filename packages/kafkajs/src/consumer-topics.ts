/** The topics of a consumer: those that it is told to read, with their retry and dead-letter topics. */
import { type Clock, InvalidOptionError, report, systemClock } from '@resil/core';
import type { Admin, ConsumerSubscribeTopic, ConsumerSubscribeTopics, Kafka } from 'kafkajs';
import type { ResolvedConsumerOptions } from './consumer-options.js';
import { deadLetterTopic, isRetryTopic, retryTopic } from './dead-letter.js';

/** How often a new topic is asked after, and the milliseconds between. */
const TOPIC_TRIES = 50;
const TOPIC_DELAY = 100;

/** What a subscription becomes. */
export interface Subscribed {
  /** Topics by name, patterns resolved as kafkajs does it: by what exists now. */
  readonly topics: readonly string[];
  /** Their retry topics. */
  readonly delayed: readonly string[];
}

/** Reads a subscription, and creates the topics that it needs and that don't exist. */
export async function subscribedTopics(
  kafka: Kafka,
  subscription: ConsumerSubscribeTopics | ConsumerSubscribeTopic,
  options: ResolvedConsumerOptions,
): Promise<Subscribed> {
  const wanted = readTopics(subscription);
  const named = wanted.filter((topic) => typeof topic === 'string');
  const patterns = wanted.filter((topic) => typeof topic !== 'string');
  // Checked before anything is asked for.
  for (const topic of named) deadLetterTopic(topic, options);
  if (patterns.length === 0 && !options.createTopics) return withRetryTopics(named, options);
  const admin = kafka.admin();
  await admin.connect();
  try {
    const existing = await admin.listTopics();
    const topics = [...new Set([...named, ...matching(existing, patterns, options)])];
    if (options.createTopics) {
      await createMissing(admin, topics, new Set(existing), options);
    }
    return withRetryTopics(topics, options);
  } finally {
    await admin.disconnect().catch((error: unknown) => report(error, 'disconnect of an admin'));
  }
}

function readTopics(
  subscription: Partial<ConsumerSubscribeTopics & ConsumerSubscribeTopic> | undefined,
): (string | RegExp)[] {
  const { topic, topics } = subscription ?? {};
  const given: unknown = topics ?? (topic === undefined ? undefined : [topic]);
  const good =
    Array.isArray(given) &&
    given.length > 0 &&
    given.every((one) => (typeof one === 'string' && one !== '') || one instanceof RegExp);
  if (good) return given;
  throw new InvalidOptionError(
    'subscribe.topics',
    given,
    'must be an array of topics: names that are not empty, or patterns',
  );
}

function withRetryTopics(topics: readonly string[], options: ResolvedConsumerOptions): Subscribed {
  return { topics, delayed: topics.flatMap((topic) => retryTopics(topic, options)) };
}

function retryTopics(topic: string, { retryDelays }: ResolvedConsumerOptions): string[] {
  return retryDelays.map((_, index) => retryTopic(topic, index + 1));
}

/** A pattern like `orders.` with anything behind it doesn't mean the topics where orders went that could not be handled. */
function matching(
  existing: readonly string[],
  patterns: readonly RegExp[],
  options: ResolvedConsumerOptions,
): string[] {
  const dead = new Set(
    existing.map((topic) => {
      try {
        return deadLetterTopic(topic, options);
      } catch {
        // It is its own: the one that all others use.
        return topic;
      }
    }),
  );
  return existing.filter(
    (topic) =>
      !isRetryTopic(topic) && !dead.has(topic) && patterns.some((pattern) => pattern.test(topic)),
  );
}

async function createMissing(
  admin: Admin,
  topics: readonly string[],
  existing: ReadonlySet<string>,
  options: ResolvedConsumerOptions,
): Promise<void> {
  const missing = new Map<string, string>();
  for (const topic of topics) {
    const dead = deadLetterTopic(topic, options);
    for (const one of [...retryTopics(topic, options), ...(dead === undefined ? [] : [dead])]) {
      if (!existing.has(one)) missing.set(one, topic);
    }
  }
  if (missing.size === 0) return;
  const counts = await partitionCounts(admin, [...new Set(missing.values())], existing);
  const made = [...missing].map(([topic, origin]) => ({
    topic,
    // Of one key, what failed keeps its order among itself.
    numPartitions: counts.get(origin) ?? 1,
    replicationFactor: -1,
  }));
  // kafkajs' own wait fails where the broker that it asks has not heard of the topic yet.
  await admin.createTopics({ topics: made, waitForLeaders: false });
  await known(admin, [...missing.keys()], options.clock ?? systemClock);
}

async function partitionCounts(
  admin: Admin,
  topics: readonly string[],
  existing: ReadonlySet<string>,
): Promise<Map<string, number>> {
  const asked = topics.filter((topic) => existing.has(topic));
  if (asked.length === 0) return new Map();
  const { topics: found } = await admin.fetchTopicMetadata({ topics: asked });
  return new Map(found.map(({ name, partitions }) => [name, partitions.length]));
}

async function known(admin: Admin, topics: string[], clock: Clock): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      const { topics: found } = await admin.fetchTopicMetadata({ topics });
      if (found.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0))) return;
    } catch (error) {
      if (tries === TOPIC_TRIES) throw error;
    }
    if (tries === TOPIC_TRIES) return;
    await new Promise<void>((resolve) => {
      clock.schedule(resolve, TOPIC_DELAY);
    });
  }
}
