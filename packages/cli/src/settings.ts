/**
 * What the code of a service can't tell: who calls whom, how long a dependency takes to restart, who is
 * called when it is away. A JSON file, `resil.config.json` unless another is named.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  booleanRule,
  checkOptions,
  InvalidOptionError,
  nameRule,
  type OptionRule,
  type OptionRules,
  objectRule,
  positiveDurationRule,
} from '@resil/core';
import { BadInputError } from './bad-input.js';

/** What is known of services and their dependencies beside their code. */
export interface Settings {
  /** Services by name, with the module to look at, for commands that are given none. */
  readonly services?: Readonly<Record<string, string>> | undefined;
  /** Who calls whom. What is not told is guessed from names and targets of pipelines. */
  readonly calls?: readonly ServiceCall[] | undefined;
  /** Dependencies by the name of their pipeline. */
  readonly dependencies?: Readonly<Record<string, DependencySettings>> | undefined;
  /** Findings that are not told: `rule`, or `rule@place`. */
  readonly ignore?: readonly string[] | undefined;
}

/** One service calls another. */
export interface ServiceCall {
  /** The service that calls. */
  readonly from: string;
  /** Name of its pipeline that the calls go through. Default: that with the name of the other service. */
  readonly pipeline?: string | undefined;
  /** The service that is called. */
  readonly to: string;
}

/** What is known of a dependency. */
export interface DependencySettings {
  /** Whether the service cannot do its work without it. Goes before what the code says. */
  readonly critical?: boolean | undefined;
  /** Milliseconds that it takes to restart. Goes before what the code says. */
  readonly restartDuration?: number | undefined;
  /** Share of calls that must succeed, below 1, for alerts. @defaultValue `objectiveDefault` (0.999) */
  readonly objective?: number | undefined;
  /** Who runs it. */
  readonly owner?: string | undefined;
  /** Who is told, in turn, when it stays away. */
  readonly escalation?: readonly string[] | undefined;
}

/** Share of calls that must succeed where nothing is said. */
export const objectiveDefault = 0.999;

const listOf = (what: string, test: (value: unknown) => boolean): OptionRule => ({
  test: (value) => Array.isArray(value) && value.every(test),
  text: `a list of ${what}`,
});
const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const rules: OptionRules<Settings> = {
  services: objectRule('an object of modules by name', (value) =>
    Object.values(value).every(isText),
  ),
  calls: listOf('objects', isObject),
  dependencies: objectRule('an object of objects by name', (value) =>
    Object.values(value).every(isObject),
  ),
  ignore: listOf('texts', isText),
};

const callRules: OptionRules<ServiceCall> = { from: nameRule, pipeline: nameRule, to: nameRule };

const dependencyRules: OptionRules<DependencySettings> = {
  critical: booleanRule,
  restartDuration: positiveDurationRule(),
  objective: {
    test: (value) => typeof value === 'number' && value > 0 && value < 1,
    text: 'a ratio above 0 and below 1',
  },
  owner: nameRule,
  escalation: listOf('texts', isText),
};

/** The file that is read where none is named, if it is there. */
export const SETTINGS_FILE = 'resil.config.json';

/**
 * Reads the settings.
 *
 * @throws `BadInputError` for a file that can't be read, is no JSON, or says what is not known.
 */
export async function readSettings(named: string | undefined, cwd: string): Promise<Settings> {
  const file = path.resolve(cwd, named ?? SETTINGS_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (named === undefined) return {};
    throw new BadInputError(`the settings '${named}' can't be read`, { cause: error });
  }
  let settings: Settings;
  try {
    settings = JSON.parse(text);
  } catch (error) {
    throw new BadInputError(`'${named ?? SETTINGS_FILE}' is no JSON: ${(error as Error).message}`);
  }
  try {
    checkSettings(settings);
  } catch (error) {
    if (!(error instanceof InvalidOptionError)) throw error;
    throw new BadInputError(`in '${named ?? SETTINGS_FILE}' ${error.message}`);
  }
  return settings;
}

function checkSettings(settings: Settings): void {
  checkOptions('settings', settings, rules);
  for (const call of settings.calls ?? []) {
    checkOptions('calls', call, callRules);
    for (const side of ['from', 'to'] as const) {
      if (call[side] === undefined)
        throw new InvalidOptionError(`calls.${side}`, undefined, 'must be there');
    }
  }
  for (const [name, dependency] of Object.entries(settings.dependencies ?? {})) {
    checkOptions(`dependencies.${name}`, dependency, dependencyRules);
  }
}
