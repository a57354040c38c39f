/** Findings as people read them. */
import type { Colors } from '../terminal.js';
import type { Finding, Rule } from './rule.js';

/** The findings, by service and place. */
export function findingsText(findings: readonly Finding[], colors: Colors): string {
  if (findings.length === 0) return `${colors.green('nothing found')}\n`;
  const blocks = findings.map(({ rule, severity, service, place, why, fix }) => {
    const mark = severity === 'error' ? colors.red('error') : colors.yellow('warning');
    return [
      `${mark} ${colors.bold(rule)} in ${service}: ${colors.cyan(place)}`,
      `  ${why}`,
      `  ${colors.dim('fix:')} ${fix}`,
    ].join('\n');
  });
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const warnings = findings.length - errors;
  const counted = [counts(errors, 'error'), counts(warnings, 'warning')].filter((text) => text);
  return `${blocks.join('\n\n')}\n\n${counted.join(', ')}; resil explain <rule> tells more\n`;
}

function counts(count: number, what: string): string {
  if (count === 0) return '';
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** All that is to be said of a rule. */
export function ruleText(rule: Rule, colors: Colors): string {
  const indented = (code: string): string => code.trimEnd().replace(/^(?=.)/gm, '    ');
  return [
    `${colors.bold(rule.id)} (${rule.severity}): ${rule.title}`,
    '',
    rule.text,
    '',
    colors.red("Don't:"),
    '',
    indented(rule.bad),
    '',
    colors.green('Do:'),
    '',
    indented(rule.good),
    '',
  ].join('\n');
}

/** The rules as the table and the sections of `docs/rules.md`. */
export function rulesMarkdown(rules: readonly Rule[]): string {
  const table = rules.map(
    ({ id, severity, title }) => `| [\`${id}\`](#${id}) | ${severity} | ${title} |`,
  );
  const sections = rules.map(({ id, severity, title, text, bad, good }) =>
    [
      `## ${id}`,
      '',
      `*${severity}*: ${title}.`,
      '',
      text,
      '',
      "Don't:",
      '',
      `\`\`\`ts no-run (a module for resil lint)\n${bad}\`\`\``,
      '',
      'Do:',
      '',
      `\`\`\`ts no-run (a module for resil lint)\n${good}\`\`\``,
    ].join('\n'),
  );
  return [
    '# Rules of `resil lint`',
    '',
    'Written by `resil explain --all > docs/lint-rules.md`; a test keeps it as the rules are, and runs every example.',
    '',
    '| rule | severity | finds |',
    '| --- | --- | --- |',
    ...table,
    '',
    sections.join('\n\n'),
    '',
  ].join('\n');
}
