/**
 * The drill: a primary is SIGKILLed under load and its standby is promoted. What is measured at the
 * callers: when they noticed, when writes were acknowledged again, what was lost, what was done twice.
 */
import { observe } from '@resil/core';
import { resilient } from '../src/index.js';
import { Cluster } from './cluster.js';

/** What a drill is to be like. */
export interface DrillOptions {
  /** Whether a commit waits for the standby. */
  readonly synchronous: boolean;
  /** Callers that write one row after the other. */
  readonly writers: number;
  /** Acknowledged writes before the primary is killed, and again after the promotion. */
  readonly writes: number;
}

/** What came of it. Times in ms since the last write that the old primary acknowledged. */
export interface DrillResult {
  readonly acknowledged: number;
  /** Until a caller was told of a failure, or a call was sent on. */
  readonly detection: number;
  /** Until the standby said that it had been promoted. */
  readonly promotion: number;
  /** Until a write was acknowledged again. */
  readonly recovery: number;
  /** Acknowledged writes that the promoted server doesn't have. */
  readonly lost: number;
  /** Rows that are there more than once. */
  readonly duplicates: number;
  /** Writes whose outcome the caller was told is not known: sent, and not answered. Not repeated. */
  readonly unknown: number;
  /** Writes that were certainly not done, and of which the caller was told so. */
  readonly failed: number;
}

/** Runs one drill on servers of its own. */
export async function drill({ synchronous, writers, writes }: DrillOptions): Promise<DrillResult> {
  const cluster = await Cluster.start(synchronous);
  try {
    return await run(cluster, writers, writes);
  } finally {
    await cluster.close();
  }
}

async function run(cluster: Cluster, writers: number, writes: number): Promise<DrillResult> {
  await cluster.on(cluster.primary, 'create table written (id int)');
  await cluster.caughtUp();
  const pool = resilient(cluster.pools({ max: writers }), {
    name: 'drill',
    totalTimeout: 60_000,
    // Writes that were not sent wait for the promotion.
    retry: { maxAttempts: Number.POSITIVE_INFINITY, baseDelay: 20, maxDelay: 200, budget: false },
    circuitBreaker: false,
  });
  const acknowledged: number[] = [];
  let unknown = 0;
  let failed = 0;
  let lastOfOld = 0;
  let detectedAt = Number.POSITIVE_INFINITY;
  let recoveredAt = Number.POSITIVE_INFINITY;
  let nextId = 0;
  let going = true;
  const detected = (): void => {
    detectedAt = Math.min(detectedAt, performance.now());
  };
  const stop = observe((event) => {
    if (event.type === 'endpoint.skipped' || event.type === 'retry.scheduled') detected();
  });
  const write = async (): Promise<void> => {
    const id = nextId++;
    try {
      const { rows } = await pool.query(
        // Takes long enough that some are always on their way.
        'insert into written select $1::int from pg_sleep(0.01) returning inet_server_port() as port',
        [id],
      );
      acknowledged.push(id);
      if (rows[0]?.port === cluster.primary.port) lastOfOld = performance.now();
      else recoveredAt = Math.min(recoveredAt, performance.now());
    } catch (error) {
      detected();
      if (String((error as Error).message).includes('terminated') || isReset(error)) unknown += 1;
      else failed += 1;
    }
  };
  const load = Array.from({ length: writers }, async () => {
    while (going) await write();
  });
  await reached(() => acknowledged.length >= writes);
  detectedAt = Number.POSITIVE_INFINITY;
  await cluster.primary.kill();
  await cluster.on(cluster.standby, 'select pg_promote()');
  const promotedAt = performance.now();
  await reached(() => recoveredAt < Number.POSITIVE_INFINITY);
  const before = acknowledged.length;
  await reached(() => acknowledged.length >= before + writes);
  going = false;
  await Promise.all(load);
  stop();
  const { rows } = await cluster.on(
    cluster.standby,
    'select id, count(*)::int as times from written group by id',
  );
  const present = new Set(rows.map(({ id }) => id as number));
  return {
    acknowledged: acknowledged.length,
    detection: detectedAt - lastOfOld,
    promotion: promotedAt - lastOfOld,
    recovery: recoveredAt - lastOfOld,
    lost: acknowledged.filter((id) => !present.has(id)).length,
    duplicates: rows.filter(({ times }) => times > 1).length,
    unknown,
    failed,
  };
}

function isReset(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', '57P01', '57P02'].includes(
    String((error as { code?: unknown }).code),
  );
}

async function reached(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 12_000; tries += 1) {
    if (condition()) return;
    await new Promise((done) => setTimeout(done, 5));
  }
  throw new Error(`it did not come true: ${condition}`);
}
