/** Assessments as people read them. */
import type { Colors } from '../terminal.js';
import { type Assessment, areas, criteria, levels } from './assess.js';
import type { Level } from './criterion.js';

/** An assessment: levels, evidence, and the next steps. */
export function assessmentText(assessment: Assessment, colors: Colors): string {
  const { service, level } = assessment;
  const lines = [
    `${colors.bold(service)} is at level ${colors.bold(String(level))} of 5${level === 0 ? '' : `: ${levels[level].name}`}`,
    '',
  ];
  for (const { area, level: own, criteria: measured } of assessment.areas) {
    lines.push(`${colors.bold(area)}: level ${own}`);
    for (const { level: of, met, title, evidence, next } of measured) {
      const mark = met ? colors.green('✓') : colors.red('✗');
      lines.push(`  ${mark} ${of} ${title}`, `      ${colors.dim(evidence)}`);
      // What lies more than a step ahead is not the next thing to do.
      if (next !== null && of <= own + 1) lines.push(`      ${colors.yellow('next:')} ${next}`);
    }
    lines.push('');
  }
  return `${lines.join('\n')}\n`;
}

/** The levels and criteria as `docs/maturity-levels.md` has them. */
export function levelsMarkdown(): string {
  const all = [1, 2, 3, 4, 5] as const satisfies readonly Level[];
  return [
    '# Maturity levels',
    '',
    'Written by `resil assess --levels > docs/maturity-levels.md`; a test keeps it as the criteria are.',
    '',
    'A service has a level in each area: the highest of which, and of all below, every criterion is met. Its own',
    'level is the least of the four.',
    '',
    '| level | called | means |',
    '| --- | --- | --- |',
    ...all.map((level) => `| ${level} | ${levels[level].name} | ${levels[level].text} |`),
    ...areas.flatMap((area) => [
      '',
      `## ${area[0]?.toUpperCase()}${area.slice(1)}`,
      '',
      '| level | criterion | must be so | if not |',
      '| --- | --- | --- | --- |',
      ...criteria
        .filter((criterion) => criterion.area === area)
        .map(({ id, level, title, next }) => `| ${level} | \`${id}\` | ${title} | ${next} |`),
    ]),
    '',
  ].join('\n');
}
