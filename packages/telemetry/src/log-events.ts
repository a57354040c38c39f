/**
 * Writes events to a logger: a level for each type, samples of what is frequent, and bursts folded, so
 * that an outage is a few lines and a number, not a flood.
 */
import {
  type Clock,
  checkOptions,
  clockRule,
  countRule,
  functionRule,
  InvalidOptionError,
  type Keyed,
  type OptionRules,
  objectRule,
  observe,
  type Pipeline,
  positiveDurationRule,
  type Random,
  type ResilienceEvent,
  type ResilienceEventType,
  systemClock,
  systemRandom,
} from '@resil/core';
import { telemetryRules } from './collector.js';
import { eventFields, messageOf } from './event-fields.js';
import { LogBursts } from './log-bursts.js';
import { type LogLevel, logLevels } from './log-levels.js';

/** What lines are written to: pino, or anything with methods like its own. */
export type EventLogger = {
  readonly [Level in LogLevel]: (fields: { readonly resilience: object }, message: string) => void;
};

/** Options of {@link logEvents}. */
export interface LogOptions {
  /** What is listened to. Default: every pipeline of the process, also those that come later. */
  readonly pipelines?: readonly (Pipeline | Keyed)[] | undefined;
  /**
   * Levels by type of event; `false` logs none of a type. The rest stays as it is.
   *
   * Default: {@link logLevels}.
   */
  readonly levels?: { readonly [Type in ResilienceEventType]?: LogLevel | false } | undefined;
  /**
   * Share of the events of a type that is logged, chosen by chance: `{ 'retry.scheduled': 0.01 }`.
   *
   * Ratios in [0, 1]. Default: all.
   */
  readonly sampleRatios?: { readonly [Type in ResilienceEventType]?: number } | undefined;
  /**
   * Lines that are alike (type, pipeline, layer, reason and error type) in a `burstInterval`; those beyond
   * are counted, and their number is logged at its end. `Infinity` folds none.
   *
   * At least 1.
   *
   * @defaultValue `logDefaults.maxLines` (5)
   */
  readonly maxLines?: number | undefined;
  /**
   * Milliseconds for which `maxLines` holds, from the first of them.
   *
   * Above 0.
   *
   * @defaultValue `logDefaults.burstInterval` (10,000)
   */
  readonly burstInterval?: number | undefined;
  /** Source of time. Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Source of chance. Default: the system's. */
  readonly random?: Random | undefined;
}

/** Defaults of {@link LogOptions}. */
export const logDefaults: { readonly maxLines: number; readonly burstInterval: number } =
  Object.freeze({ maxLines: 5, burstInterval: 10_000 });

const LEVELS: readonly unknown[] = ['debug', 'info', 'warn', 'error', false];

const rules: OptionRules<LogOptions> = {
  pipelines: telemetryRules.pipelines,
  levels: objectRule(
    "an object of event types, each with 'debug', 'info', 'warn', 'error' or false",
    (value) => everyType(value, (level) => LEVELS.includes(level)),
  ),
  sampleRatios: objectRule('an object of event types, each with a ratio from 0 to 1', (value) =>
    everyType(value, (ratio) => typeof ratio === 'number' && ratio >= 0 && ratio <= 1),
  ),
  maxLines: countRule(1, true),
  burstInterval: positiveDurationRule(),
  clock: clockRule,
  random: functionRule,
};

/**
 * Writes the events of pipelines to a logger; the result ends it, and writes how many lines were folded
 * until then. Lines hold no error, argument or answer of a call.
 *
 * @throws {@link InvalidOptionError}
 * @example
 * ```ts
 * const stop = logEvents({
 *   debug: () => {},
 *   info: (fields, message) => console.log(message, fields),
 *   warn: (fields, message) => console.warn(message, fields),
 *   error: (fields, message) => console.error(message, fields),
 * });
 * stop();
 * ```
 */
export function logEvents(logger: EventLogger, options: LogOptions = {}): () => void {
  checkLogger(logger);
  checkOptions('logEvents', options, rules);
  const { pipelines, sampleRatios = {}, clock = systemClock, random = systemRandom } = options;
  const { maxLines = logDefaults.maxLines, burstInterval = logDefaults.burstInterval } = options;
  const levels = { ...logLevels, ...options.levels };
  const bursts = new LogBursts(maxLines, burstInterval, clock);
  const seconds = Math.round(burstInterval / 1_000);
  const listener = (event: ResilienceEvent): void => {
    const level = levels[event.type];
    if (level === false || level === undefined) return;
    const ratio = sampleRatios[event.type] ?? 1;
    if (ratio < 1 && random() >= ratio) return;
    const fields = eventFields(event);
    const { pipeline, strategy, reason, errorType } = fields;
    const kind = `${event.type}\n${pipeline}\n${strategy}\n${reason}\n${errorType}`;
    const message = messageOf(fields);
    const { key: _key, at: _at, attempt: _attempt, ...alike } = fields;
    const allowed = bursts.allows(kind, (folded) => {
      const more = folded.toLocaleString('en-US');
      logger[level](
        { resilience: { ...alike, folded } },
        `${message} … and ${more} more in ${seconds} s`,
      );
    });
    if (allowed) logger[level]({ resilience: fields }, message);
  };
  const ends = pipelines?.map((one) => one.on(listener)) ?? [observe(listener)];
  return () => {
    for (const end of ends) end();
    bursts.flush();
  };
}

function checkLogger(logger: EventLogger): void {
  for (const level of LEVELS) {
    if (level === false || typeof logger?.[level as LogLevel] === 'function') continue;
    throw new InvalidOptionError(
      'logEvents: logger',
      logger,
      'must have the methods debug, info, warn and error',
    );
  }
}

function everyType(values: Record<string, unknown>, test: (value: unknown) => boolean): boolean {
  return Object.entries(values).every(
    ([type, value]) => Object.hasOwn(logLevels, type) && (value === undefined || test(value)),
  );
}
