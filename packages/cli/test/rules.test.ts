import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { lint, rules } from '../src/index.js';
import { rulesMarkdown } from '../src/lint/report.js';
import { Modules } from './modules.js';

const modules = new Modules();

describe.each(rules)('$id', (rule) => {
  it('finds something in its bad example, with numbers and a fix', async () => {
    const findings = lint([await modules.inspect(rule.bad, 'shop')], { rules: [rule.id] });
    expect(findings.length).toBeGreaterThan(0);
    for (const finding of findings) {
      expect(finding).toMatchObject({ rule: rule.id, severity: rule.severity, service: 'shop' });
      expect(finding.place).not.toBe('');
      expect(finding.why).not.toBe('');
      expect(finding.fix).not.toBe('');
      expect(Object.keys(finding.figures).length).toBeGreaterThan(0);
      expect(JSON.parse(JSON.stringify(finding))).toEqual(finding);
    }
  });

  it('finds nothing in its good example, nor does any other rule', async () => {
    expect(lint([await modules.inspect(rule.good, 'shop')])).toEqual([]);
  });
});

it('has no two rules of one id', () => {
  expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length);
});

it('is documented as it is: npx resil explain --all > docs/lint-rules.md', async () => {
  const file = new URL('../../../docs/lint-rules.md', import.meta.url);
  expect(await readFile(file, 'utf8')).toBe(rulesMarkdown(rules));
});
