/** What a pipeline stands before: told by adapters and users, for health, alerts, runbooks and lint. */
import {
  booleanRule,
  checkOptions,
  countRule,
  InvalidOptionError,
  nameRule,
  type OptionRules,
  positiveDurationRule,
} from './validate.js';

/** What a pipeline stands before. Nothing here changes how calls are treated. */
export interface Dependency {
  /** The client library that calls it: `'axios'`. Default: not known. */
  readonly client?: string | undefined;
  /** Where the calls go, without credentials: `'https://prices.example.com'`. Default: not known. */
  readonly target?: string | undefined;
  /** Whether the service cannot do its work without it. Default: `false`. */
  readonly critical?: boolean | undefined;
  /** Attempts that the client makes by itself for each attempt of the pipeline; 1 if it repeats nothing. Default: not known. */
  readonly innerAttempts?: number | undefined;
  /** Milliseconds that it takes to restart, above 0. Default: not known. */
  readonly restartDuration?: number | undefined;
}

const rules: OptionRules<Dependency> = {
  client: nameRule,
  target: nameRule,
  critical: booleanRule,
  innerAttempts: countRule(1),
  restartDuration: positiveDurationRule(),
};

/** Allows a {@link Dependency}. */
export const dependencyRule = {
  test: (value: unknown): boolean => {
    try {
      checkOptions('dependency', value as Dependency, rules);
      return true;
    } catch (error) {
      if (error instanceof InvalidOptionError) return false;
      throw error;
    }
  },
  text: "an object of 'client' and 'target' (texts), 'critical' (true or false), 'innerAttempts' (a whole number of at least 1) and 'restartDuration' (milliseconds above 0)",
};
