import { describe, expect, it } from 'vitest';
import {
  adaptiveLimiter,
  aimd,
  bulkhead,
  cache,
  circuitBreaker,
  coalesce,
  concurrencyBudget,
  failover,
  fallback,
  gradient,
  gradient2,
  hedge,
  InvalidOptionError,
  type KeyFunction,
  keyed,
  LatencyHistogram,
  memoryStore,
  type OutlierDetectionOptions,
  pipeline,
  rateLimiter,
  retry,
  retryBudget,
  standard,
  throttle,
  timeout,
  tokenBudget,
  vegas,
} from '../src/index.js';

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

/** What is refused whatever kind of value is asked for. */
const neverFunction: unknown[] = ['f', 1, {}, [], null, true];
const neverName: unknown[] = ['', 1, {}, null, true, () => 'name'];
const neverClock: unknown[] = [{}, 'system', 1, null, Date, { now: () => 1 }];
const neverNumber: unknown[] = [nan, '5', null, {}, [], true, -infinity, -1];
const neverCount: unknown[] = [...neverNumber, 1.5, 2 ** 53];
const neverDuration: unknown[] = [...neverNumber, -0.001];
const neverRatio: unknown[] = [...neverNumber, 0, 1.0001, infinity];

interface Row {
  readonly factory: string;
  readonly option: string;
  readonly make: (value: unknown) => unknown;
  readonly values: readonly unknown[];
  /** Ends the sentence "option must be …". */
  readonly rule: string;
}

/** The factory, with a `key` where the options have none: it can't be left out, which has tests of its own. */
function keyGiven<Options extends { readonly key: KeyFunction }>(
  make: (options: Options) => unknown,
): (options: Options) => unknown {
  return (options) => make(options.key === undefined ? { ...options, key: () => 'a' } : options);
}

/** The rows of one factory; each option with its rule and the values it refuses. */
function rowsOf(
  factory: string,
  make: (options: never) => unknown,
  options: Record<string, readonly [rule: string, values: readonly unknown[], others?: object]>,
): Row[] {
  return Object.entries(options).map(([option, [rule, values, others]]) => ({
    factory,
    option,
    make: (value) => make({ ...others, [option]: value } as never),
    values,
    rule,
  }));
}

const name = ['a string that is not empty', neverName] as const;
const clock = ['a Clock (now, schedule)', neverClock] as const;
const dependency = [
  "an object of 'client' and 'target' (texts), 'critical' (true or false), 'innerAttempts' (a whole number of at least 1) and 'restartDuration' (milliseconds above 0)",
  [
    true,
    'orders',
    1,
    null,
    [],
    { critical: 1 },
    { innerAttempts: 0 },
    { restartDuration: 0 },
    { owner: 'a' },
  ],
] as const;
const fn = ['a function', neverFunction] as const;
const count = ['a whole number of at least 1', [...neverCount, 0, infinity]] as const;
const countOrInfinity = ['a whole number of at least 1 or Infinity', [...neverCount, 0]] as const;
const duration = ['a number of milliseconds of at least 0', [...neverDuration, infinity]] as const;
const durationOrInfinity = [
  'a number of milliseconds of at least 0 or Infinity',
  neverDuration,
] as const;
const positiveOrInfinity = [
  'a number of milliseconds above 0 or Infinity',
  [...neverDuration, 0],
] as const;
const ratio = ['a ratio above 0 and at most 1', neverRatio] as const;
const mode = ["one of 'enforce', 'observe'", ['', 'off', true, false, 1, null, {}]] as const;
const part = ['an options object, or one of false', [true, 1, 'on', null, () => ({})]] as const;
const positive = ['a number of milliseconds above 0', [...neverDuration, 0, infinity]] as const;
const countOrOff = neverCount.filter((value) => value !== false);
const target = { endpoints: ['a', 'b'] };
const check = { check: () => true };
const outlierDetection = (options: OutlierDetectionOptions): unknown =>
  failover({ ...target, outlierDetection: options });
const limit = [
  'a number of milliseconds above 0, or one of false',
  [...neverDuration.filter((value) => value !== true), 0, true, infinity],
] as const;

const whenNested = ["one of 'once', 'repeat'", ['never', '', 1, null, {}, true]] as const;
const budget = [
  'one of false, or a budget (deposit, tryWithdraw)',
  [true, 0.2, null, {}, { deposit: () => {} }, 'shared', () => 1],
] as const;
const duringWindow = [
  '{ duration } (milliseconds above 0)',
  [{}, { duration: 0 }, { duration: -1 }, { duration: nan }, { calls: 5 }, 10_000, null],
] as const;

const snapshot = {
  version: 1,
  takenAt: 0,
  state: 'closed',
  openings: 0,
  remaining: 0,
  consecutiveFailures: 0,
};

const rows: Row[] = [
  ...rowsOf('circuitBreaker', circuitBreaker, {
    failureThreshold: count,
    failureRatio: ratio,
    minimumCalls: count,
    window: [
      '{ calls } (a whole number from 1 to 10,000,000) or { duration } (milliseconds above 0)',
      [
        {},
        { calls: 0 },
        { calls: -1 },
        { calls: 1.5 },
        { calls: nan },
        { calls: 10_000_001 },
        { calls: infinity },
        { calls: '10' },
        { duration: 0 },
        { duration: -1 },
        { duration: nan },
        { duration: infinity },
        { calls: 10, duration: 1_000 },
        { size: 10 },
        { calls: 10, size: 10 },
        10,
        null,
        'calls',
        [],
      ],
    ],
    slowCallDuration: positiveOrInfinity,
    slowCallRatio: [ratio[0], ratio[1], { slowCallDuration: 100 }],
    resetTimeout: [
      'a number of milliseconds of at least 0 or Infinity, or a function',
      neverDuration,
    ],
    halfOpenCalls: count,
    probeTimeout: positiveOrInfinity,
    classify: fn,
    fallbackFn: fn,
    mode,
    snapshot: [
      'what snapshot() gave, version 1',
      [
        {},
        null,
        'open',
        [],
        { ...snapshot, version: 2 },
        { ...snapshot, state: 'half-open' },
        { ...snapshot, takenAt: undefined },
        { ...snapshot, openings: '1' },
        { ...snapshot, remaining: nan },
        { ...snapshot, consecutiveFailures: null },
        { ...snapshot, window: null },
        { ...snapshot, window: {} },
      ],
    ],
    name,
    clock,
  }),
  ...rowsOf('retry', retry, {
    maxAttempts: countOrInfinity,
    baseDelay: duration,
    maxDelay: duration,
    backoff: [
      "one of 'exponential', 'linear', 'constant', or a function",
      ['fibonacci', '', 1, null, {}, true],
    ],
    jitter: [
      "one of 'full', 'equal', 'decorrelated', 'none'",
      ['half', '', 0.5, null, true, false, () => 1],
    ],
    shouldRetry: fn,
    classify: fn,
    maxRetryAfter: durationOrInfinity,
    budget,
    whenNested,
    random: fn,
    name,
    clock,
  }),
  ...rowsOf('retryBudget', retryBudget, {
    ratio: ['a number from 0 to 1000', [...neverNumber, 1_000.1, infinity]],
    minPerSecond: ['a number of at least 0', [...neverNumber, infinity]],
    window: duringWindow,
    name,
    clock,
  }),
  ...rowsOf('hedge', hedge, {
    maxExtraLoad: ratio,
    delay: durationOrInfinity,
    maxHedges: count,
    minDelay: duration,
    minimumCalls: count,
    window: duringWindow,
    budget,
    idempotent: ['true or false', ['yes', 0, 1, null, {}, () => true]],
    whenNested,
    classify: fn,
    name,
    clock,
  }),
  ...rowsOf('concurrencyBudget', concurrencyBudget, {
    ratio: ['a number of at least 0', [...neverNumber, infinity]],
    minConcurrentAttempts: ['a whole number of at least 0', [...neverCount, infinity]],
    name,
  }),
  ...rowsOf('tokenBudget', tokenBudget, {
    maxTokens: ['a whole number from 1 to 1000', [...neverCount, 0, 1_001, infinity]],
    tokenRatio: ['a number of at least 0.001', [...neverNumber, 0, 0.0009, infinity]],
    name,
  }),
  ...rowsOf('adaptiveLimiter', adaptiveLimiter, {
    algorithm: [
      "one of 'aimd', 'vegas', 'gradient', 'gradient2', or an algorithm (a finite estimate, update)",
      ['reno', '', null, 1, {}, { update: () => 1 }, () => 1],
    ],
    initialLimit: count,
    minLimit: count,
    maxLimit: count,
    sampleWindow: [
      'one of false, or { minDuration, maxDuration } (milliseconds above 0, in order) with { minimumCalls } (a whole number of at least 1)',
      [
        true,
        1,
        null,
        { minDuration: 0 },
        { minDuration: 2_000 },
        { minimumCalls: 0 },
        { calls: 1 },
      ],
    ],
    maxQueueSize: ['a whole number of at least 0', [...neverCount, infinity]],
    queueTimeout: durationOrInfinity,
    queue: ["one of 'fifo', 'codel', 'adaptive-lifo'", ['lifo', '', null, true, 1]],
    targetDelay: ['a number of milliseconds above 0', [...neverDuration, 0, infinity]],
    queueInterval: ['a number of milliseconds above 0', [...neverDuration, 0, infinity]],
    earlyRejection: [
      'true or false, or an object of minQueueFactor (at least 0) and a maxQueueFactor above it',
      [
        1,
        'on',
        null,
        { minQueueFactor: 3 },
        { minQueueFactor: -1 },
        { maxQueueFactor: 2 },
        { max: 4 },
      ],
    ],
    partitions: [
      '1 to 100 of { name, guaranteedRatio, minPriority } with names of their own and ratios that add up to at most 1',
      [
        [],
        {},
        null,
        'live',
        ['live'],
        [{}],
        [{ name: '' }],
        [{ name: 'a' }, { name: 'a' }],
        [{ name: 'a', guaranteedRatio: 1.1 }],
        [{ name: 'a', guaranteedRatio: -0.1 }],
        [{ name: 'a', minPriority: nan }],
        [{ name: 'a', share: 0.5 }],
        [
          { name: 'a', guaranteedRatio: 0.6 },
          { name: 'b', guaranteedRatio: 0.5 },
        ],
        Array.from({ length: 101 }, (_, at) => ({ name: `p${at}` })),
      ],
    ],
    partitionBy: [fn[0], fn[1], { partitions: [{ name: 'a' }] }],
    classify: fn,
    isOverload: fn,
    stallDuration: positiveOrInfinity,
    mode,
    random: fn,
    name,
    clock,
  }),
  ...rowsOf('aimd', aimd, {
    initialLimit: count,
    minLimit: count,
    maxLimit: count,
    backoffRatio: ['a ratio of at least 0.5 and below 1', [...neverNumber, 0.49, 1]],
    slowCallDuration: positiveOrInfinity,
  }),
  ...rowsOf('vegas', vegas, {
    initialLimit: count,
    minLimit: count,
    maxLimit: count,
    smoothingRatio: ratio,
    probeMultiplier: ['a number of at least 1', [...neverNumber, 0.9, infinity]],
    alpha: fn,
    beta: fn,
    threshold: fn,
    increase: fn,
    decrease: fn,
    random: fn,
  }),
  ...rowsOf('gradient', gradient, {
    initialLimit: count,
    minLimit: count,
    maxLimit: count,
    bufferRatio: ['a number of at least 0', [...neverNumber, -0.1, infinity]],
    probeInterval: count,
    random: fn,
  }),
  ...rowsOf('gradient2', gradient2, {
    initialLimit: count,
    minLimit: count,
    maxLimit: count,
    smoothingRatio: ratio,
    queueSize: ['a whole number of at least 0, or a function', [...neverCount, infinity]],
    tolerance: ['a number of at least 1', [...neverNumber, 0.9, infinity]],
    longWindowSize: count,
  }),
  ...rowsOf('throttle', throttle, {
    minSuccessRatio: ratio,
    maxRejectionRatio: ratio,
    aggression: ['a number of at least 1', [...neverNumber, 0, 0.999, infinity]],
    minimumCalls: ['a whole number of at least 0', [...neverCount, infinity]],
    window: [
      '{ duration } (milliseconds above 0)',
      [{}, { duration: 0 }, { duration: -1 }, { duration: infinity }, { calls: 10 }, 10, null],
    ],
    classify: fn,
    mode,
    random: fn,
    name,
    clock,
  }),
  ...rowsOf('rateLimiter', rateLimiter, {
    maxCalls: count,
    interval: positive,
    burstSize: count,
    maxQueueSize: ['a whole number of at least 0', [...neverCount, infinity]],
    queueTimeout: durationOrInfinity,
    maxRetryAfter: positiveOrInfinity,
    classify: fn,
    hint: fn,
    mode,
    name,
    clock,
  }),
  ...rowsOf('bulkhead', bulkhead, {
    maxConcurrentCalls: countOrInfinity,
    maxQueueSize: ['a whole number of at least 0', [...neverCount, infinity]],
    queueTimeout: durationOrInfinity,
    timeout: positiveOrInfinity,
    mode,
    name,
  }),
  ...rowsOf('cache', keyGiven(cache), {
    freshDuration: ['a number of milliseconds of at least 0', [...neverDuration, infinity]],
    staleDuration: ['a number of milliseconds of at least 0', [...neverDuration, infinity]],
    staleIfErrorDuration: ['a number of milliseconds of at least 0', [...neverDuration, infinity]],
    revalidateTimeout: positive,
    key: fn,
    store: ['a store (get, set, delete)', [null, 1, {}, { get: () => 1, set: () => 1 }]],
    storeTimeout: positive,
    classify: fn,
    name,
    clock,
  }),
  ...rowsOf('memoryStore', memoryStore, {
    maxEntries: count,
    maxBytes: countOrInfinity,
    sizeOf: fn,
    clock,
  }),
  ...rowsOf('coalesce', keyGiven(coalesce), { key: fn, name }),
  ...rowsOf('timeout', timeout, { duration: positiveOrInfinity, name, clock }),
  ...rowsOf('fallback', (options) => fallback(() => 1, options), { classify: fn, name }),
  ...rowsOf('keyed', (options) => keyed(() => pipeline(), options), {
    maxKeys: count,
    idleTimeout: positiveOrInfinity,
    clock,
    name,
    dependency,
  }),
  ...rowsOf('LatencyHistogram', (options) => new LatencyHistogram(options), {
    relativeErrorRatio: ['a ratio from 0.001 to 0.2', [...neverNumber, 0, 0.0009, 0.21, 1]],
    window: duringWindow,
    clock,
  }),
  ...rowsOf('pipeline', (options) => pipeline(options, timeout()), {
    name,
    key: name,
    classify: fn,
    clock,
    dependency,
  }),
  ...rowsOf('failover', failover, {
    layers: [...fn, target],
    rank: [...fn, target],
    moveOn: [...fn, target],
    outlierDetection: [...part, target],
    healthCheck: ['an options object', [true, 1, 'on', null, () => ({})], target],
    slowStartDuration: [...duration, target],
    slowStartRatio: [...ratio, target],
    panicRatio: ['a ratio of at least 0 and at most 1', [...neverNumber, 1.0001, infinity], target],
    classify: [...fn, target],
    random: [...fn, target],
    name: [...name, target],
    clock: [...clock, target],
  }),
  ...rowsOf('failover.outlierDetection', outlierDetection, {
    failureThreshold: [
      'a whole number of at least 1, or one of false',
      [...countOrOff, 0, infinity],
    ],
    successRate: part,
    failureShare: part,
    sweepInterval: positive,
    baseEjectionDuration: positive,
    maxEjectionDuration: positive,
    maxEjectionRatio: ratio,
    mode: ["one of 'enforce', 'observe'", ['on', true, 1, null]],
    endedByHealthCheck: ['true or false', ['yes', 1, null]],
  }),
  ...rowsOf(
    'failover.outlierDetection.successRate',
    (successRate) => outlierDetection({ successRate } as never),
    {
      deviationFactor: ['a number of at least 0', [...neverNumber, infinity]],
      minimumGap: ['a ratio of at least 0 and at most 1', [...neverNumber, 1.0001]],
      minimumEndpoints: count,
      minimumCalls: count,
    },
  ),
  ...rowsOf(
    'failover.outlierDetection.failureShare',
    (failureShare) => outlierDetection({ failureShare } as never),
    {
      failureRatio: ratio,
      minimumEndpoints: count,
      minimumCalls: count,
    },
  ),
  ...rowsOf('failover.healthCheck', (healthCheck) => failover({ ...target, healthCheck }), {
    checkInterval: [...positive, check],
    checkTimeout: [...positive, check],
    unhealthyThreshold: [...count, check],
    healthyThreshold: [...count, check],
  }),
  ...rowsOf('standard', standard, {
    name,
    key: name,
    totalTimeout: limit,
    attemptTimeout: limit,
    retry: part,
    hedge: part,
    circuitBreaker: part,
    bulkhead: part,
    fallback: ['a function, or one of false', neverFunction],
    classify: fn,
    dependency,
    clock,
    random: fn,
    failover: part,
  }),
];

/** What `make` throws. */
function thrown(make: () => unknown): unknown {
  try {
    make();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('options', () => {
  describe.each(rows)('$factory.$option', ({ factory, option, make, values, rule }) => {
    it.each(values.map((value) => [value]))('refuses %o', (value) => {
      const error = thrown(() => make(value)) as InvalidOptionError;
      expect(error).toBeInstanceOf(InvalidOptionError);
      expect(error.option).toBe(`${factory}.${option}`);
      expect(error.value).toBe(value);
      expect(error.message).toContain(`${factory}.${option} must be ${rule}, but got `);
    });

    it('takes undefined for left out', () => {
      expect(() => make(undefined)).not.toThrow();
    });
  });

  const factories: [string, (options: never) => unknown][] = [
    ['circuitBreaker', circuitBreaker],
    ['retry', retry],
    ['retryBudget', retryBudget],
    ['concurrencyBudget', concurrencyBudget],
    ['hedge', hedge],
    ['tokenBudget', tokenBudget],
    ['adaptiveLimiter', adaptiveLimiter],
    ['aimd', aimd],
    ['vegas', vegas],
    ['gradient', gradient],
    ['gradient2', gradient2],
    ['throttle', throttle],
    ['rateLimiter', rateLimiter],
    ['bulkhead', bulkhead],
    ['cache', cache],
    ['memoryStore', memoryStore],
    ['coalesce', coalesce],
    ['timeout', timeout],
    ['fallback', (options) => fallback(() => 1, options)],
    ['keyed', (options) => keyed(() => pipeline(), options)],
    ['LatencyHistogram', (options) => new LatencyHistogram(options)],
    ['pipeline', (options) => pipeline(options, timeout())],
    ['standard', standard],
  ];

  describe.each(factories)('of %s', (factory, make) => {
    it('are refused where the name is not known, and the known ones are named', () => {
      const options = rows.filter((row) => row.factory === factory).map((row) => row.option);
      for (const unknown of ['maxRetries', 'Name', 'constructor', ' name']) {
        const error = thrown(() => make({ [unknown]: 1 } as never)) as InvalidOptionError;
        expect(error).toBeInstanceOf(InvalidOptionError);
        expect(error.message).toBe(
          `${factory}.${unknown} is not an option; known are ${options.join(', ')}, but got 1`,
        );
      }
    });

    // A pipeline takes a name in the place of options.
    const wrong = [null, 7, true, [], ...(factory === 'pipeline' ? [] : ['text'])];
    it.each(wrong.map((value) => [value]))('are refused where they are %o', (options) => {
      const error = thrown(() => make(options as never)) as InvalidOptionError;
      expect(error).toBeInstanceOf(InvalidOptionError);
      expect(error.message).toMatch(new RegExp(`^${factory} options must be an object, but got `));
    });
  });

  it.each<[string, () => unknown, string]>([
    [
      'failureThreshold with failureRatio',
      () => circuitBreaker({ failureThreshold: 5, failureRatio: 0.5 }),
      'circuitBreaker.failureRatio must be left out where failureThreshold is given, but got 0.5',
    ],
    [
      'failureThreshold with minimumCalls',
      () => circuitBreaker({ failureThreshold: 5, minimumCalls: 5 }),
      'circuitBreaker.minimumCalls must be left out',
    ],
    [
      'failureThreshold with window',
      () => circuitBreaker({ failureThreshold: 5, window: { calls: 5 } }),
      'circuitBreaker.window must be left out',
    ],
    [
      'failureThreshold with slowCallDuration',
      () => circuitBreaker({ failureThreshold: 5, slowCallDuration: 5 }),
      'circuitBreaker.slowCallDuration must be left out',
    ],
    [
      'slowCallRatio alone',
      () => circuitBreaker({ slowCallRatio: 0.5 }),
      'circuitBreaker.slowCallRatio needs slowCallDuration, but got 0.5',
    ],
    [
      'minimumCalls above the window',
      () => circuitBreaker({ minimumCalls: 11, window: { calls: 10 } }),
      'circuitBreaker.minimumCalls must be at most window.calls (10), but got 11',
    ],
    [
      'maxDelay under baseDelay',
      () => retry({ baseDelay: 200, maxDelay: 199 }),
      'retry.maxDelay must be a number of milliseconds of at least 200, but got 199',
    ],
    [
      'maxDelay under the default baseDelay',
      () => retry({ maxDelay: 99 }),
      'retry.maxDelay must be a number of milliseconds of at least 100, but got 99',
    ],
    [
      'delay with maxExtraLoad',
      () => hedge({ delay: 50, maxExtraLoad: 0.02 }),
      'hedge.maxExtraLoad must be left out where delay is given, but got 0.02',
    ],
    [
      'delay with minDelay',
      () => hedge({ delay: 50, minDelay: 5 }),
      'hedge.minDelay must be left out where delay is given, but got 5',
    ],
    [
      'delay with minimumCalls',
      () => hedge({ delay: 50, minimumCalls: 5 }),
      'hedge.minimumCalls must be left out where delay is given',
    ],
    [
      'delay with window',
      () => hedge({ delay: 50, window: { duration: 5 } }),
      'hedge.window must be left out where delay is given',
    ],
    [
      'no function for fallback',
      () => fallback(1 as never),
      'fallback: fn must be a function, but got 1',
    ],
    ['no function for keyed', () => keyed({} as never), 'keyed: factory must be a function'],
    [
      'no function to wrap',
      () => pipeline().wrap(1 as never),
      'wrap: fn must be a function, but got 1',
    ],
    [
      'no endpoints',
      () => failover({ endpoints: [] }),
      'failover.endpoints must be a list of at least one endpoint',
    ],
    [
      'no function for a health check',
      () => failover({ ...target, healthCheck: { check: 1 as never } }),
      'failover.healthCheck.check must be a function, but got 1',
    ],
    [
      'a health check without its function',
      () => failover({ ...target, healthCheck: {} as never }),
      'failover.healthCheck.check must be a function, but got undefined',
    ],
    [
      'an endpoint without a target',
      () => failover({ endpoints: [{} as never] }),
      'failover.endpoints[0] must be a string, or an object with a target',
    ],
    [
      'two endpoints of one name',
      () => failover({ endpoints: ['a', { target: 'a' }] }),
      "failover.endpoints[1].name must not be that of another endpoint, but got 'a'",
    ],
    [
      'an endpoint with a bad priority',
      () => failover({ endpoints: [{ target: 'a', priority: 0.5 }] }),
      'failover.endpoints[0].priority must be a whole number of at least 0, but got 0.5',
    ],
    [
      'an endpoint with a weight without end',
      () => failover({ endpoints: [{ target: 'a', weight: Infinity }] }),
      'failover.endpoints[0].weight must be a number above 0, but got Infinity',
    ],
    [
      'an endpoint with a weight that is no number',
      () => failover({ endpoints: [{ target: 'a', weight: '2' as never }] }),
      "failover.endpoints[0].weight must be a number above 0, but got '2'",
    ],
    [
      'an endpoint with a bad weight',
      () => failover({ endpoints: [{ target: 'a', weight: 0 }] }),
      'failover.endpoints[0].weight must be a number above 0, but got 0',
    ],
    [
      'an endpoint with an option that is none',
      () => failover({ endpoints: [{ target: 'a', wieght: 2 } as never] }),
      'failover.endpoints[0].wieght is not an option',
    ],
    [
      'layers of an endpoint that are none',
      () => failover({ endpoints: ['a'], layers: () => [{} as never] }),
      'pipeline: layer must be a guard',
    ],
    [
      'an ejection that is longer than the longest',
      () => outlierDetection({ baseEjectionDuration: 10, maxEjectionDuration: 5 }),
      'failover.outlierDetection.maxEjectionDuration must be at least baseEjectionDuration (10), but got 5',
    ],
    [
      'a part of standard with a bad option',
      () => standard({ retry: { maxAttempts: 0 } }),
      'retry.maxAttempts',
    ],
    [
      'a part of standard with an unknown option',
      () => standard({ bulkhead: { size: 5 } as never }),
      'bulkhead.size is not an option',
    ],
    [
      'bounds of a limit in the wrong order',
      () => adaptiveLimiter({ minLimit: 20, maxLimit: 10 }),
      'minLimit must be at most maxLimit (10), but got 20',
    ],
    [
      'a limit to begin with outside of its bounds',
      () => vegas({ initialLimit: 5, minLimit: 10 }),
      'vegas.initialLimit must be from minLimit (10) to maxLimit (1000), but got 5',
    ],
    [
      'bounds beside an algorithm that brings its own',
      () => adaptiveLimiter({ algorithm: aimd(), maxLimit: 5 }),
      'adaptiveLimiter.maxLimit must be left out where algorithm brings its own, but got 5',
    ],
    [
      'partitionBy without partitions',
      () => adaptiveLimiter({ partitionBy: () => 'live' }),
      'adaptiveLimiter.partitionBy needs partitions',
    ],
  ])('that do not go together: %s', (_, make, message) => {
    expect(thrown(make)).toBeInstanceOf(InvalidOptionError);
    expect(make).toThrow(message);
  });

  it('at their edges are accepted', () => {
    circuitBreaker({ failureThreshold: 1, resetTimeout: 0, halfOpenCalls: 1, probeTimeout: 0.1 });
    circuitBreaker({ failureRatio: 1, minimumCalls: 1, window: { calls: 1 } });
    circuitBreaker({ window: { calls: 10_000_000 }, slowCallDuration: infinity, slowCallRatio: 1 });
    circuitBreaker({ window: { duration: 0.5 }, resetTimeout: infinity, probeTimeout: infinity });
    retry({ maxAttempts: 1, baseDelay: 0, maxDelay: 0, maxRetryAfter: 0, budget: false });
    retry({ maxAttempts: infinity, maxRetryAfter: infinity });
    retryBudget({ ratio: 0, minPerSecond: 0, window: { duration: 1 } });
    retryBudget({ ratio: 1_000 });
    concurrencyBudget({ ratio: 0, minConcurrentAttempts: 0 });
    hedge({ maxExtraLoad: 1, maxHedges: 1, minDelay: 0, minimumCalls: 1, budget: false });
    hedge({ delay: 0 });
    hedge({ delay: infinity, budget: retryBudget() });
    bulkhead({ maxConcurrentCalls: 1, maxQueueSize: 0, queueTimeout: 0, timeout: infinity });
    bulkhead({ maxConcurrentCalls: infinity, queueTimeout: infinity });
    rateLimiter({ maxCalls: 1, interval: 0.1, burstSize: 1, maxQueueSize: 0, queueTimeout: 0 });
    rateLimiter({ queueTimeout: infinity, maxRetryAfter: infinity });
    throttle({ minSuccessRatio: 1, maxRejectionRatio: 1, aggression: 1, minimumCalls: 0 });
    failover({ ...target, slowStartDuration: 0, slowStartRatio: 1, panicRatio: 1 });
    outlierDetection({ failureThreshold: false, successRate: false, failureShare: false });
    outlierDetection({ successRate: { deviationFactor: 0, minimumGap: 1, minimumEndpoints: 1 } });
    timeout({ duration: 0.1 });
    timeout({ duration: infinity });
    keyed(() => pipeline(), { maxKeys: 1, idleTimeout: infinity });
  });

  it('are read once, at construction', () => {
    const reads: string[] = [];
    const options = new Proxy(
      { failureThreshold: 1, resetTimeout: 10 },
      {
        get(target, property, receiver) {
          reads.push(String(property));
          return Reflect.get(target, property, receiver) as unknown;
        },
      },
    );
    const breaker = circuitBreaker(options);
    reads.length = 0;
    breaker.isolate();
    breaker.reset();
    void breaker.execute(() => 1);
    expect(reads).toEqual([]);
  });
});
