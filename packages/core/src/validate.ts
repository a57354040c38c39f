/**
 * Options are checked once, at construction, and an error names the option, the value and what is
 * allowed. Nothing is clamped silently, unknown names are refused.
 */

/** What is allowed for one option. */
export interface OptionRule {
  readonly test: (value: unknown) => boolean;
  /** Ends the sentence "`option` must be …". */
  readonly text: string;
}

/** The rules of an options object, by option name. */
export type OptionRules<Options> = { readonly [Name in keyof Required<Options>]: OptionRule };

/** An option that cannot be accepted. Thrown at construction, never while a call runs. */
export class InvalidOptionError extends TypeError {
  readonly code = 'RESIL_INVALID_OPTION';
  /** The option's name, with what it belongs to: `retry.maxAttempts`. */
  readonly option: string;
  /** The value that was given. */
  readonly value: unknown;

  constructor(option: string, value: unknown, rule: string) {
    super(`${option} ${rule}, but got ${describe(value)}`);
    this.name = 'InvalidOptionError';
    this.option = option;
    this.value = value;
  }
}

/**
 * Refuses what is not an options object, names that are not in `rules`, and values that break their
 * rule. An option that is `undefined` counts as left out.
 *
 * @throws {@link InvalidOptionError}
 */
export function checkOptions<Options extends object>(
  owner: string,
  options: Options,
  rules: OptionRules<Options>,
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new InvalidOptionError(`${owner} options`, options, 'must be an object');
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(rules, name)) {
      throw new InvalidOptionError(
        `${owner}.${name}`,
        value,
        `is not an option; known are ${Object.keys(rules).join(', ')}`,
      );
    }
    const rule = rules[name as keyof Options];
    if (value !== undefined && !rule.test(value)) {
      throw new InvalidOptionError(`${owner}.${name}`, value, `must be ${rule.text}`);
    }
  }
}

/** A whole number of at least `min`; `Infinity` only where `infinite` is set. */
export function countRule(min: number, infinite = false): OptionRule {
  return {
    test: (value) =>
      typeof value === 'number' &&
      value >= min &&
      (Number.isSafeInteger(value) || (infinite && value === Infinity)),
    text: `a whole number of at least ${min}${infinite ? ' or Infinity' : ''}`,
  };
}

/** Milliseconds: a number of at least `min`; `Infinity` only where `infinite` is set. */
export function durationRule(min = 0, infinite = false): OptionRule {
  return {
    test: (value) => typeof value === 'number' && value >= min && (infinite || value < Infinity),
    text: `a number of milliseconds of at least ${min}${infinite ? ' or Infinity' : ''}`,
  };
}

/** A duration that has to be more than zero. */
export function positiveDurationRule(infinite = false): OptionRule {
  return {
    test: (value) => typeof value === 'number' && value > 0 && (infinite || value < Infinity),
    text: `a number of milliseconds above 0${infinite ? ' or Infinity' : ''}`,
  };
}

/** A share in (0, 1]. */
export const ratioRule: OptionRule = {
  test: (value) => typeof value === 'number' && value > 0 && value <= 1,
  text: 'a ratio above 0 and at most 1',
};

/** A number of at least `min`. */
export function numberRule(min: number): OptionRule {
  return {
    test: (value) => typeof value === 'number' && value >= min && value < Infinity,
    text: `a number of at least ${min}`,
  };
}

/** A function. */
export const functionRule: OptionRule = {
  test: (value) => typeof value === 'function',
  text: 'a function',
};

/** Anything: what is checked elsewhere, or is the user's own. */
export const anyRule: OptionRule = { test: () => true, text: 'anything' };

/** A share in [0, 1]. */
export const shareRule: OptionRule = {
  test: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  text: 'a ratio of at least 0 and at most 1',
};

/** A string that is not empty. */
export const nameRule: OptionRule = {
  test: (value) => typeof value === 'string' && value !== '',
  text: 'a string that is not empty',
};

/** `true` or `false`. */
export const booleanRule: OptionRule = {
  test: (value) => typeof value === 'boolean',
  text: 'true or false',
};

/** An object; `what` says of which kind, `test` looks closer. */
export function objectRule(
  what: string,
  test: (value: Record<string, unknown>) => boolean = () => true,
): OptionRule {
  return {
    test: (value) =>
      typeof value === 'object' && value !== null && test(value as Record<string, unknown>),
    text: what,
  };
}

/** One of the values. */
export function oneOfRule(...values: readonly unknown[]): OptionRule {
  return {
    test: (value) => values.includes(value),
    text: `one of ${values.map(describe).join(', ')}`,
  };
}

/** Whatever one of the rules allows. */
export function eitherRule(...rules: readonly OptionRule[]): OptionRule {
  return {
    test: (value) => rules.some((rule) => rule.test(value)),
    text: rules.map((rule) => rule.text).join(', or '),
  };
}

/** A {@link Clock}. */
export const clockRule: OptionRule = objectRule(
  'a Clock (now, schedule)',
  (value) => typeof value.now === 'function' && typeof value.schedule === 'function',
);

/** A value as an error shows it: short, and never the inside of an object. */
function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 60)}…` : value}'`;
  if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`;
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null)
    return `an object of ${value.constructor?.name ?? 'no class'}`;
  return String(value);
}
