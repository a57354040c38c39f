/** What a layer has to tell for its contract, and the bench that the contract's tests work on. */
import assert from 'node:assert/strict';
import {
  type CallOptions,
  type Clock,
  type Layer,
  type Pipeline,
  pipeline,
  type Random,
} from '@resil/core';
import { seededRandom } from './seeded-random.js';
import type { TestRunner } from './test-runner.js';
import { VirtualClock } from './virtual-clock.js';

/** What a layer under test is made with. */
export interface LayerSurroundings {
  /** The time that the suite moves. */
  readonly clock: Clock;
  /** Chance that is the same in every run. */
  readonly random: Random;
}

/** How a test makes a call wait inside the layer: in a queue, in a backoff. */
export interface LayerWait {
  /** What the call waits for, for the test's title. */
  readonly name: string;
  /**
   * Brings the layer to where the next call waits: starts calls that take all permits by `execute`,
   * or does nothing if the operation's failure makes the call wait.
   */
  arrange?(execute: Pipeline['execute']): void;
  /** The operation of the call that waits. Default: one that would succeed. */
  operation?(): unknown;
}

/** What {@link describeLayerContract} has to know about a layer. */
export interface LayerContract {
  /** The test runner's functions. */
  readonly runner: Pick<TestRunner, 'describe' | 'it'>;
  /** Name of the pattern, for the suite's title. */
  readonly name: string;
  /**
   * Makes a fresh layer, with options so wide that it lets ten calls run at a time and does nothing
   * special after a hundred failures in a row.
   */
  create(surroundings: LayerSurroundings): Layer;
  /** Whether the operation's error comes out; not so for a fallback. Default: true. */
  readonly passesErrors?: boolean;
  /** The waits that a call can have in the layer. Default: none. */
  readonly waits?: readonly {
    /** Makes a layer in which the next call waits (longer than an hour, if by time). */
    create(surroundings: LayerSurroundings): Layer;
    readonly wait: LayerWait;
  }[];
  /** Things that construction must refuse, each with what the message must contain. */
  readonly refuses?: readonly (readonly [create: () => unknown, message: RegExp])[];
}

/** A layer alone in a pipeline, on virtual time. */
export class LayerBench {
  readonly clock: VirtualClock = new VirtualClock();
  readonly layer: Layer;
  readonly pipeline: Pipeline;

  constructor(create: LayerContract['create']) {
    this.layer = create({ clock: this.clock, random: seededRandom(1) });
    this.pipeline = pipeline({ name: 'contract', clock: this.clock }, this.layer);
  }

  /** Runs a call to its end, as much time as that takes. */
  run<T>(operation: () => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    return this.clock.runUntilSettled(this.pipeline.execute(operation, options));
  }

  /** What a call rejects with, as `[error]`; `undefined` if it resolves. */
  fail(operation: () => unknown, options?: CallOptions): Promise<readonly [unknown] | undefined> {
    return this.run(operation, options).then(
      () => undefined,
      (error: unknown) => [error],
    );
  }
}

/** Runs a test and fails if a rejection was left without a handler. */
export async function withoutUnhandledRejections(body: () => Promise<void>): Promise<void> {
  const unhandled: unknown[] = [];
  const listener = (error: unknown): void => {
    unhandled.push(error);
  };
  process.on('unhandledRejection', listener);
  try {
    await body();
    // They are found out after the promise jobs of a turn.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('unhandledRejection', listener);
  }
  assert.deepEqual(unhandled, [], 'unhandled rejections');
}
