import { readdirSync, readFileSync } from 'node:fs';
import * as core from '@resil/core';
import { describe, expect, it } from 'vitest';
import { optionsOf } from '../src/options-table.js';
import { fillIn, pagesFolder } from '../src/pages.js';
import { drawPicture } from '../src/picture.js';
import { scenarios } from '../src/scenarios.js';

const read = (name: string): string => readFileSync(new URL(name, pagesFolder), 'utf8');
const pages = readdirSync(pagesFolder).filter((name) => /^[a-z-]+\.md$/.test(name));

describe('docs/patterns', () => {
  it('has a page for each factory of a layer', () => {
    const factories = Object.keys(core)
      .filter((name) => `${name}Defaults` in core && /^[a-z]/.test(name))
      // Kinds of budget stand on one page; algorithms, stores and checks on that of their pattern.
      .filter(
        (name) =>
          !/^(concurrencyBudget|tokenBudget|aimd|vegas|gradient2?|memoryStore|standard)$/.test(
            name,
          ),
      );
    const names = factories.map((name) => name.replace(/[A-Z]/g, (big) => `-${big.toLowerCase()}`));
    expect(names.length).toBeGreaterThan(12);
    expect(pages).toEqual(expect.arrayContaining(names.map((name) => `${name}.md`)));
  });

  it.each(pages)('%s has all its parts, and is in the list', (name) => {
    const page = read(name);
    expect(page.match(/^## .+$/gm)).toEqual(
      expect.arrayContaining([
        '## When',
        '## When not',
        '## Choosing the numbers',
        '## Use',
        '## Options',
        '## Events',
        '## Mistakes',
      ]),
    );
    expect(read('README.md')).toContain(`](${name})`);
  });

  it.each(pages)('%s has the tables of the docstrings (else: pnpm patterns)', (name) => {
    expect(read(name)).toBe(fillIn(read(name)));
  });

  it.each(Object.keys(scenarios))(
    '%s.svg is what the pattern does (else: pnpm patterns)',
    async (name) => {
      const picture = drawPicture((await scenarios[name as keyof typeof scenarios]?.()) as never);
      expect(read(`${name}.svg`) === picture).toBe(true);
      expect(read(`${name}.md`)).toContain(`](${name}.svg)`);
    },
  );

  it('tells only of events that exist', () => {
    const source = readFileSync(
      new URL('../../../packages/core/src/events.ts', import.meta.url),
      'utf8',
    );
    const known = new Set(source.match(/(?<=')[a-z-]+\.[a-z-]+(?=')/g));
    for (const name of pages) {
      const events = /^## Events\n([\s\S]*?)(?=^## )/m.exec(read(name))?.[1] ?? '';
      for (const [, event] of events.matchAll(/`([a-z-]+\.[a-z-]+)`/g))
        expect([name, event, known.has(event as string)]).toEqual([name, event, true]);
    }
  });
});

describe('options of an interface', () => {
  const source = `
export interface AOptions extends Base {
  /**
   * Milliseconds that it takes.
   *
   * Above 0.
   *
   * @defaultValue \`aDefaults.delay\` (1,000)
   */
  readonly delay?: number | undefined;
  /** How. Default: \`'a'\` or {@link other}. */
  readonly how?: 'a' | 'b' | undefined;
  /** What. */
  readonly what: string;
  /** Maybe. */
  readonly maybe?: boolean | undefined;
}
`;

  it('are those of its docstrings', () => {
    expect(optionsOf(source, 'AOptions')).toEqual([
      {
        name: 'delay',
        type: '`number`',
        meaning: 'Milliseconds that it takes. Above 0.',
        defaultValue: '1,000',
      },
      { name: 'how', type: "`'a' \\| 'b'`", meaning: 'How.', defaultValue: "`'a'` or `other`" },
      { name: 'what', type: '`string`', meaning: 'What.', defaultValue: 'required' },
      { name: 'maybe', type: '`boolean`', meaning: 'Maybe.', defaultValue: 'none' },
    ]);
  });

  it('are not those of an interface that is not there', () => {
    expect(() => optionsOf(source, 'BOptions')).toThrow('there is no interface BOptions');
  });
});

describe('worked numbers', () => {
  /** Probability of at least k of n. */
  const atLeast = (k: number, n: number, p: number): number => {
    let sum = 0;
    for (let i = k; i <= n; i++) sum += chooses(n, i) * p ** i * (1 - p) ** (n - i);
    return sum;
  };
  const chooses = (n: number, k: number): number => {
    let result = 1;
    for (let i = 1; i <= k; i++) result *= (n - k + i) / i;
    return result;
  };

  it('of the circuit breaker', () => {
    expect(atLeast(5, 10, 0.3)).toBeCloseTo(0.15, 2);
    expect(atLeast(25, 50, 0.3)).toBeCloseTo(0.002, 3);
  });

  it('of the retry budget: 60 requests/s instead of 150', async () => {
    const [row] = (await scenarios['retry-budget']?.())?.rows ?? [];
    const lines = row?.kind === 'lines' ? row.lines : [];
    const during = lines.map(({ points }) => {
      const inside = points.filter(([time]) => time > 6_000 && time <= 10_000);
      return inside.reduce((sum, [, value]) => sum + value, 0) / inside.length;
    });
    expect(during[0]).toBeGreaterThan(140);
    expect(during[1]).toBeLessThan(62);
  });

  it('of coalesce: 30 calls, 5 flights', async () => {
    const rows = (await scenarios.coalesce?.())?.rows ?? [];
    expect(rows.map((row) => (row.kind === 'bars' ? row.bars.length : 0))).toEqual([30, 5]);
  });

  it('of the throttle: about twice what is accepted gets through', async () => {
    const [row] = (await scenarios.throttle?.())?.rows ?? [];
    const [, throttled] = row?.kind === 'lines' ? row.lines : [];
    const inside = throttled?.points.filter(([time]) => time > 9_000 && time <= 15_000) ?? [];
    const mean = inside.reduce((sum, [, value]) => sum + value, 0) / inside.length;
    expect(mean).toBeGreaterThan(30);
    expect(mean).toBeLessThan(55);
  });
});
