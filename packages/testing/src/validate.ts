/**
 * Checks of options, made once, at construction. A message names the option, the value and the rule.
 */

/** Throws: `option` is `value`, which is not `rule`. */
export function fail(option: string, value: unknown, rule: string): never {
  throw new TypeError(`${option} must be ${rule}, but got ${show(value)}`);
}

/** A duration in ms: finite, 0 or more. */
export function checkDuration(option: string, value: unknown): asserts value is number {
  if (!(typeof value === 'number' && value >= 0 && Number.isFinite(value))) {
    fail(option, value, 'a number of milliseconds, 0 or more');
  }
}

/** A whole number, 0 or more. */
export function checkCount(option: string, value: unknown): asserts value is number {
  if (!(Number.isSafeInteger(value) && (value as number) >= 0)) {
    fail(option, value, 'a whole number, 0 or more');
  }
}

/** A ratio in 0..1. */
export function checkRatio(option: string, value: unknown): asserts value is number {
  if (!(typeof value === 'number' && value >= 0 && value <= 1)) {
    fail(option, value, 'a number from 0 to 1');
  }
}

/** An amount per second: more than 0, `Infinity` allowed. */
export function checkRate(option: string, value: unknown): asserts value is number {
  if (!(typeof value === 'number' && value > 0)) fail(option, value, 'a number above 0');
}

/** A TCP port; 0 where the system may choose. */
export function checkPort(option: string, value: unknown, min: 0 | 1): asserts value is number {
  if (!(Number.isInteger(value) && (value as number) >= min && (value as number) <= 65_535)) {
    fail(option, value, `a port, ${min} to 65535`);
  }
}

/** One of `allowed`. */
export function checkOneOf(option: string, value: unknown, allowed: readonly string[]): void {
  if (!allowed.includes(value as string)) {
    fail(option, value, `one of ${allowed.map((each) => `'${each}'`).join(', ')}`);
  }
}

/** A function. */
export function checkFunction(option: string, value: unknown): void {
  if (typeof value !== 'function') fail(option, value, 'a function');
}

/** An object that has no names but `allowed`. */
export function checkNames(option: string, value: unknown, allowed: readonly string[]): void {
  if (typeof value !== 'object' || value === null) fail(option, value, 'an object');
  for (const name of Object.keys(value)) {
    if (!allowed.includes(name)) {
      throw new TypeError(
        `${option}.${name} is not an option; known are ${allowed.join(', ')}, but got ${show((value as Record<string, unknown>)[name])}`,
      );
    }
  }
}

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object' && value !== null) {
    return Array.isArray(value) ? 'an array' : 'an object';
  }
  return String(value);
}
