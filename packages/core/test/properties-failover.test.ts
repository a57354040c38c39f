/** Random histories of outlier detection against a reference with a real timer; and of failover, which loses and doubles nothing. */
import { seededRandom, VirtualClock } from '@resil/testing';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { type Call, circuitBreaker, failover, pipeline, retry } from '../src/index.js';
import { OutlierDetection, resolveOutlierDetectionOptions } from '../src/outlier-detection.js';
import { ReferenceOutliers, type ReferenceRules } from './reference-outliers.js';
import { PATIENCE, runs } from './runs.js';
import { same } from './same.js';

const rulesOf: fc.Arbitrary<ReferenceRules> = fc.record({
  failureThreshold: fc.integer({ min: 1, max: 6 }),
  minimumEndpoints: fc.integer({ min: 1, max: 4 }),
  minimumCalls: fc.integer({ min: 1, max: 6 }),
  deviationFactor: fc.constantFrom(0, 0.5, 1, 1.9),
  minimumGap: fc.constantFrom(0, 0.1, 0.5),
  failureRatio: fc.constantFrom(0.5, 0.85, 1),
  sweepInterval: fc.constantFrom(10, 25),
  baseEjectionDuration: fc.constantFrom(10, 30),
  maxEjectionDuration: fc.constantFrom(30, 70),
  maxEjectionRatio: fc.constantFrom(0.1, 0.5, 1),
});

/** Endpoint, whether the call succeeds, and how long after the one before. */
const history = fc.array(
  fc.record({
    index: fc.nat(4),
    ok: fc.boolean(),
    wait: fc.oneof(fc.constant(0), fc.nat(8), fc.constantFrom(10, 60, 400)),
  }),
  { maxLength: 60 },
);

describe('outlier detection', () => {
  it(
    'ejects and returns as gRPC A50 with a timer, however late it is asked',
    () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 5 }), rulesOf, history, (size, rules, events) => {
          const { minimumEndpoints, minimumCalls, deviationFactor, minimumGap } = rules;
          const detection = new OutlierDetection(
            size,
            resolveOutlierDetectionOptions({
              failureThreshold: rules.failureThreshold,
              successRate: { minimumEndpoints, minimumCalls, deviationFactor, minimumGap },
              failureShare: { minimumEndpoints, minimumCalls, failureRatio: rules.failureRatio },
              sweepInterval: rules.sweepInterval,
              baseEjectionDuration: rules.baseEjectionDuration,
              maxEjectionDuration: rules.maxEjectionDuration,
              maxEjectionRatio: rules.maxEjectionRatio,
            }),
            { ejected() {}, returned() {} },
          );
          const reference = new ReferenceOutliers(size, rules);
          detection.sweep(0);
          let now = 0;
          let ticks = 0;
          for (const { index, ok, wait } of events) {
            now += wait;
            while ((ticks + 1) * rules.sweepInterval <= now) {
              ticks++;
              reference.tick(ticks * rules.sweepInterval);
            }
            const at = index % size;
            detection.sweep(now);
            reference.call(at, ok, now);
            detection.record(at, detection.generation(at), ok, now);
            for (const [place, host] of reference.hosts.entries()) {
              same(detection.isEjected(place), host.ejectedAt !== undefined, `${place} at ${now}`);
              same(detection.ejections(place), host.multiplier, `multiplier of ${place} at ${now}`);
            }
            if (reference.out.length >= size) throw new Error('the last one was ejected');
          }
        }),
        runs(),
      );
    },
    PATIENCE,
  );
});

describe('failover', () => {
  it(
    'runs every attempt once, at an untried endpoint where nothing keeps it away, and forgets nobody',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 4 }),
          fc.integer({ min: 1, max: 6 }),
          fc.boolean(),
          fc.array(fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), { maxLength: 8 }),
          fc.nat(),
          async (size, maxAttempts, guarded, fates, seed) => {
            const clock = new VirtualClock();
            const layer = failover({
              endpoints: Array.from({ length: size }, (_, index) => ({
                target: `e${index}`,
                priority: index % 2,
              })),
              layers: ({ name }) =>
                guarded ? [circuitBreaker({ name, clock, failureThreshold: 3 })] : [],
              outlierDetection: guarded && { failureThreshold: 2 },
              random: seededRandom(seed),
            });
            const calls = pipeline(
              { clock },
              retry({ maxAttempts, baseDelay: 50, jitter: 'none' }),
              layer,
            );
            const ended = fates.map(async (fate) => {
              const seen: string[] = [];
              const attempts: number[] = [];
              const operation = async (call: Call): Promise<void> => {
                seen.push(call.endpoint?.name ?? 'nowhere');
                attempts.push(call.attempt);
                if (fate[call.attempt - 1] !== true) throw new Error('down');
              };
              await calls.execute(operation).catch(() => {});
              same(new Set(attempts).size, attempts.length, 'an attempt ran twice');
              const first = seen.slice(0, size);
              if (!guarded) same(new Set(first).size, first.length, 'the same one again');
            });
            await clock.runUntilSettled(Promise.all(ended));
            for (const { running } of layer.endpoints)
              same(running, 0, 'a call was not given back');
          },
        ),
        runs(1_000),
      );
    },
    PATIENCE,
  );
});
