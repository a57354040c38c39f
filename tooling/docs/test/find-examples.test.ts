import { describe, expect, it } from 'vitest';
import { findExamples } from '../src/examples.js';

const fence = '```';
const texts = (file: string, text: string) =>
  findExamples(file, text).examples.map(({ lines }) => lines.map((line) => line.text).join('\n'));

describe('findExamples', () => {
  it('takes ts fences with their place and leaves other languages alone', () => {
    const text = ['# A', `${fence}sh`, 'ls', fence, '', `${fence}ts`, 'let a = 1;', fence].join(
      '\n',
    );
    const { examples, problems } = findExamples('README.md', text);
    expect(problems).toEqual([]);
    expect(examples).toEqual([
      {
        file: 'README.md',
        line: 6,
        needs: [],
        notRun: undefined,
        lines: [{ text: 'let a = 1;', line: 7 }],
      },
    ]);
  });

  it('puts a hidden setup before the fence that follows it, and only that one', () => {
    const text = [
      '<!-- setup',
      'let a = 1;',
      '-->',
      '',
      `${fence}ts`,
      'a;',
      fence,
      `${fence}ts`,
      'b;',
      fence,
    ].join('\n');
    expect(texts('README.md', text)).toEqual(['let a = 1;\na;', 'b;']);
  });

  it('continues the example before', () => {
    const text = [`${fence}ts http`, 'a;', fence, `${fence}ts continues`, 'b;', fence].join('\n');
    const { examples } = findExamples('README.md', text);
    expect(examples[1]?.needs).toEqual(['http']);
    expect(texts('README.md', text)[1]).toBe('a;\nb;');
  });

  it('reads docstrings, and nothing outside them', () => {
    const text = [
      '/**',
      ' * Says.',
      ' *',
      ` * ${fence}ts`,
      ' * if (a) {',
      ' *   b();',
      ' * }',
      ` * ${fence}`,
      ' */',
      `const c = '${fence}ts';`,
    ].join('\n');
    expect(texts('a.ts', text)).toEqual(['if (a) {\n  b();\n}']);
  });

  it('refuses no-run without a reason, words nobody knows, and other names of the language', () => {
    const wrong = [`${fence}ts no-run`, `${fence}ts norun`, `${fence}js`];
    for (const first of wrong) {
      expect(findExamples('README.md', [first, 'a;', fence].join('\n')).problems).toHaveLength(1);
    }
    const right = [`${fence}ts no-run (needs a broker)`, 'a;', fence].join('\n');
    expect(findExamples('README.md', right).problems).toEqual([]);
    expect(findExamples('README.md', right).examples[0]?.notRun).toBe('needs a broker');
  });

  it('refuses a fence that is never closed', () => {
    expect(findExamples('README.md', `${fence}ts\na;`).problems).toHaveLength(1);
  });
});
