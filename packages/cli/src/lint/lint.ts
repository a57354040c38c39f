/** Asks the rules about services. */
import type { Inspection } from '../inspection.js';
import { landscapeOf } from '../landscape.js';
import type { Settings } from '../settings.js';
import type { Finding } from './rule.js';
import { ruleOf, rules } from './rules.js';

/** What lint may be told. */
export interface LintOptions {
  /** Rules that are asked. Default: all. */
  readonly rules?: readonly string[] | undefined;
  /** Findings that are left out: `rule`, or `rule@place`; those of the settings as well. */
  readonly ignore?: readonly string[] | undefined;
  /** What the code can't tell. */
  readonly settings?: Settings | undefined;
}

/**
 * What the rules find in services, in the order of the rules.
 *
 * @throws `BadInputError` for a rule that is not known, and settings that don't fit the services.
 */
export function lint(inspections: readonly Inspection[], options: LintOptions = {}): Finding[] {
  const { settings = {} } = options;
  const asked = options.rules === undefined ? rules : options.rules.map(ruleOf);
  const ignored = [...(options.ignore ?? []), ...(settings.ignore ?? [])].map((entry) => {
    const [id = '', ...place] = entry.split('@');
    return { rule: ruleOf(id).id, place: place.length === 0 ? undefined : place.join('@') };
  });
  const landscape = landscapeOf(inspections, settings);
  return asked.flatMap(({ id, severity, check }) =>
    check(landscape)
      .map((found): Finding => ({ rule: id, severity, ...found }))
      .filter(
        (finding) =>
          !ignored.some(
            ({ rule, place }) => rule === id && (place === undefined || place === finding.place),
          ),
      ),
  );
}
