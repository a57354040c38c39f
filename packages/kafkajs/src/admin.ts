/**
 * An admin with kafkajs' own type. What it asks and changes goes through a pipeline of its own, so that
 * an admin's failures don't open the circuit of producers. What only asks may be repeated; what changes
 * something is repeated only where it certainly was not done.
 */
import { isResilienceError, OutcomeUnknownError, type Pipeline } from '@resil/core';
import type { Admin } from 'kafkajs';
import type { KafkaCallState } from './options.js';

type Method = Exclude<keyof Admin, 'connect' | 'disconnect' | 'on' | 'logger' | 'events'>;
type Run = (...args: unknown[]) => Promise<unknown>;

/** Each method, and whether doing it twice does no harm. */
const methods: Readonly<Record<Method, boolean>> = {
  listTopics: true,
  fetchTopicMetadata: true,
  fetchOffsets: true,
  fetchTopicOffsets: true,
  fetchTopicOffsetsByTimestamp: true,
  describeCluster: true,
  describeConfigs: true,
  listGroups: true,
  describeGroups: true,
  describeAcls: true,
  listPartitionReassignments: true,
  // The second one would be told that it is there, or gone, already.
  createTopics: false,
  deleteTopics: false,
  createPartitions: false,
  deleteGroups: false,
  createAcls: false,
  deleteAcls: false,
  // Somebody else may have changed it meanwhile.
  setOffsets: false,
  resetOffsets: false,
  alterConfigs: false,
  deleteTopicRecords: false,
  alterPartitionReassignments: false,
};

/** An admin made by a resilient Kafka. */
export function wrapAdmin(admin: Admin, pipeline: Pipeline): Admin {
  const given = admin as unknown as Readonly<Record<string, Run | undefined>>;
  const guarded: Record<string, Run> = {};
  for (const [name, harmless] of Object.entries(methods)) {
    const run = given[name];
    // A client that copies kafkajs' interface may lack some.
    if (typeof run !== 'function') continue;
    guarded[name] = (...args) =>
      execute(pipeline, name, onlyAsks(harmless, args[0]), () => run(...args));
  }
  return { ...admin, ...(guarded as unknown as Pick<Admin, Method>) };
}

/** What says `validateOnly` changes nothing, and what says `resolveOffsets` does. */
function onlyAsks(harmless: boolean, options: unknown): boolean {
  const { validateOnly, resolveOffsets } = (options ?? {}) as {
    readonly validateOnly?: unknown;
    readonly resolveOffsets?: unknown;
  };
  return validateOnly === true || (harmless && resolveOffsets !== true);
}

async function execute(
  pipeline: Pipeline,
  name: string,
  harmless: boolean,
  run: () => Promise<unknown>,
): Promise<unknown> {
  const state: KafkaCallState = { operation: 'admin', sent: false };
  try {
    return await pipeline.execute(
      (call) => {
        state.sent = false;
        return new Promise((resolve, reject) => {
          // kafkajs can't be told to stop: the caller is freed.
          const forget = call.onAbort((reason) => {
            state.sent = true;
            reject(reason);
          });
          run().then(resolve, reject).finally(forget);
        });
      },
      { name, attributes: { kafkajs: state }, ...(harmless && { idempotent: true }) },
    );
  } catch (error) {
    const late = isResilienceError(error) && error.code === 'RESIL_TIMEOUT';
    if (harmless || !state.sent || !late) throw error;
    throw new OutcomeUnknownError(
      error.strategy,
      `${name} was not answered in time; it may have been done, or be done later`,
      error,
    );
  }
}
