import { describe, expect, it } from 'vitest';
import { systemClock } from './clock.js';
import {
  booleanRule,
  checkOptions,
  clockRule,
  countRule,
  durationRule,
  eitherRule,
  functionRule,
  InvalidOptionError,
  nameRule,
  numberRule,
  type OptionRule,
  objectRule,
  oneOfRule,
  positiveDurationRule,
  ratioRule,
} from './validate.js';

const odd = [Number.NaN, '1', null, {}, [], true, () => 1, 1n];

describe('rules', () => {
  it.each<[string, OptionRule, unknown[], unknown[]]>([
    ['a whole number of at least 1', countRule(1), [1, 2, 1e15], [0, -1, 1.5, Infinity, 2 ** 60]],
    ['a whole number of at least 0', countRule(0), [0, 1], [-1, 0.5, Infinity]],
    [
      'a whole number of at least 1 or Infinity',
      countRule(1, true),
      [1, Infinity],
      [0, 1.5, -Infinity],
    ],
    ['a number of milliseconds of at least 0', durationRule(), [0, 0.5, 1e12], [-0.1, Infinity]],
    ['a number of milliseconds of at least 5', durationRule(5), [5, 5.5], [4.9, Infinity]],
    [
      'a number of milliseconds of at least 0 or Infinity',
      durationRule(0, true),
      [0, Infinity],
      [-1, -Infinity],
    ],
    ['a number of milliseconds above 0', positiveDurationRule(), [0.1, 1e12], [0, -1, Infinity]],
    [
      'a number of milliseconds above 0 or Infinity',
      positiveDurationRule(true),
      [1, Infinity],
      [0, -1],
    ],
    ['a ratio above 0 and at most 1', ratioRule, [0.001, 1], [0, 1.001, -0.5, Infinity]],
    ['a number of at least 0', numberRule(0), [0, 0.5, 1e300], [-0.1, Infinity]],
  ])('%s', (text, rule, good, bad) => {
    expect(rule.text).toBe(text);
    for (const value of good) expect(rule.test(value), String(value)).toBe(true);
    for (const value of [...bad, ...odd]) expect(rule.test(value), String(value)).toBe(false);
  });

  it.each<[string, OptionRule, unknown[], unknown[]]>([
    ['a function', functionRule, [() => 1, class {}], ['f', {}, null]],
    ['a string that is not empty', nameRule, ['a', ' '], ['', 1, null, {}]],
    ['true or false', booleanRule, [true, false], [0, 1, 'true', null]],
    ['an options object', objectRule('an options object'), [{}, []], [null, 1, 'a', () => 1]],
    ["one of 'full', false", oneOfRule('full', false), ['full', false], ['none', 0, true]],
    [
      'a function, or a number of at least 0',
      eitherRule(functionRule, numberRule(0)),
      [() => 1, 0],
      [-1, 'a'],
    ],
    ['a Clock (now, schedule)', clockRule, [systemClock], [{}, { now: () => 1 }, null, Date]],
  ])('%s', (text, rule, good, bad) => {
    expect(rule.text).toBe(text);
    for (const value of good) expect(rule.test(value)).toBe(true);
    for (const value of bad) expect(rule.test(value), String(value)).toBe(false);
  });
});

describe('checkOptions', () => {
  const rules = { size: countRule(1), name: nameRule };
  const check = (options: unknown) => (): void =>
    checkOptions('thing', options as { size?: number; name?: string }, rules);

  it('accepts what follows the rules, and takes undefined for left out', () => {
    expect(check({})).not.toThrow();
    expect(check({ size: 1, name: undefined })).not.toThrow();
    expect(check(Object.create(null))).not.toThrow();
  });

  it('names the option, the value and the rule', () => {
    expect(check({ size: -1 })).toThrow(
      new InvalidOptionError('thing.size', -1, 'must be a whole number of at least 1'),
    );
    expect(check({ size: -1 })).toThrow(
      'thing.size must be a whole number of at least 1, but got -1',
    );
  });

  it('refuses names that are not known, those of Object too', () => {
    expect(check({ sise: 1 })).toThrow(
      'thing.sise is not an option; known are size, name, but got 1',
    );
    expect(check({ sise: undefined })).toThrow('thing.sise is not an option');
    expect(check({ toString: 1 })).toThrow('thing.toString is not an option');
    expect(check(JSON.parse('{"__proto__": 1}'))).toThrow('thing.__proto__ is not an option');
  });

  it.each([
    [null, 'null'],
    ['text', "'text'"],
    [7, '7'],
    [[], 'an array'],
    [() => 1, 'function (anonymous)'],
  ])('refuses %o in place of options', (options, shown) => {
    expect(check(options)).toThrow(`thing options must be an object, but got ${shown}`);
  });
});

describe('InvalidOptionError', () => {
  it('is a TypeError with a code and its data in fields', () => {
    const error = new InvalidOptionError('retry.maxAttempts', 0, 'must be more');
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({
      name: 'InvalidOptionError',
      code: 'RESIL_INVALID_OPTION',
      option: 'retry.maxAttempts',
      value: 0,
    });
  });

  it.each<[unknown, string]>([
    ['text', "'text'"],
    ['x'.repeat(100), `'${'x'.repeat(60)}…'`],
    [function named() {}, 'function named'],
    [[1, 2], 'an array'],
    [{ secret: 'hidden' }, 'an object of Object'],
    [Object.create(null), 'an object of no class'],
    [new Map(), 'an object of Map'],
    [null, 'null'],
    [undefined, 'undefined'],
    [Number.NaN, 'NaN'],
    [Symbol('s'), 'Symbol(s)'],
    [10n, '10'],
  ])('shows %o shortly, and never the inside of an object', (value, shown) => {
    expect(new InvalidOptionError('x', value, 'is bad').message).toBe(`x is bad, but got ${shown}`);
  });
});
