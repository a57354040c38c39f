import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { rules, run } from '../src/index.js';
import { Modules } from './modules.js';

const modules = new Modules();
const good = `import { pipeline, timeout } from '@resil/core';
export const quotes = pipeline('quotes', timeout({ duration: 500 }));`;
const bad = `import { pipeline, retry } from '@resil/core';
export const quotes = pipeline('quotes', retry());`;

/** What a command line says, and ends with. */
async function resil(...args: readonly string[]) {
  let out = '';
  let err = '';
  const code = await run(args, {
    cwd: await modules.folder,
    color: false,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  return { code, out, err };
}

describe('resil lint', () => {
  it('ends with 0 where nothing is found, and with 1 where something is', async () => {
    expect(await resil('lint', await modules.write(good))).toEqual({
      code: 0,
      out: 'nothing found\n',
      err: '',
    });
    const { code, out } = await resil('lint', `shop=${await modules.write(bad)}`);
    expect(code).toBe(1);
    expect(out).toContain('error no-timeout in shop: quotes');
    expect(out).toContain('fix: put a timeout({ duration }) innermost');
    expect(out).toContain('1 error; resil explain <rule> tells more');
  });

  it('gives JSON, and nothing of what a module prints beside it', async () => {
    const loud = `console.log('a module that prints');\n${bad}`;
    const { code, out } = await resil('lint', await modules.write(loud), '--json');
    expect(code).toBe(1);
    expect(JSON.parse(out).findings).toMatchObject([{ rule: 'no-timeout', place: 'quotes' }]);
  });

  it('asks single rules, and leaves findings out', async () => {
    const file = await modules.write(bad);
    expect((await resil('lint', file, '--rule', 'shared-guard')).code).toBe(0);
    expect((await resil('lint', file, '--ignore', 'no-timeout@quotes')).code).toBe(0);
  });

  it('takes services, ignored findings and dependencies from the settings', async () => {
    await modules.write(bad, 'services/shop.mjs');
    const settings = { services: { shop: 'services/shop.mjs' }, ignore: ['no-timeout'] };
    await modules.write(JSON.stringify(settings), 'own.json');
    expect(await resil('lint', '--config', 'own.json')).toMatchObject({ code: 0, err: '' });
  });
});

describe('bad input ends with 2 and a sentence', () => {
  const sentence = async (...args: readonly string[]): Promise<string> => {
    const { code, out, err } = await resil(...args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    return err;
  };

  it.each([
    ['a file that is not there', ['lint', 'none.mjs'], /there is no file 'none\.mjs'/],
    ['a folder', ['lint', '.'], /'\.' is a folder; name the module's file/],
    ['no module', ['lint'], /no module is given/],
    ['a rule that is not known', ['lint', 'x', '--rule', 'nope'], /there is no rule 'nope'; known/],
    ['a rule to explain that is not known', ['explain', 'nope'], /there is no rule 'nope'; known/],
    [
      'settings that are not there',
      ['lint', 'x', '--config', 'no.json'],
      /'no\.json' can't be read/,
    ],
    ['a time that is none', ['lint', 'x', '--load-timeout', 'soon'], /--load-timeout must be/],
    ['an option that is not known', ['lint', 'x', '--fast'], /unknown option '--fast'/],
    ['no folder to write to', ['ops', 'x'], /required option '--out <dir>'/],
    ['a time scale of 0', ['ops', 'x', '--out', 'o', '--time-scale', '0'], /--time-scale must be/],
    ['a level that is none', ['assess', 'x', '--min-level', '6'], /--min-level must be/],
    ['a command that is not known', ['lnit'], /unknown command 'lnit'/],
  ] as const)('%s', async (_what, args, message) => {
    expect(await sentence(...args)).toMatch(message);
  });

  it.each([
    ['throws', "throw new Error('no DATABASE_URL');", /could not be loaded: no DATABASE_URL/],
    ['is no JavaScript', 'export const = 1;', /could not be loaded: Unexpected token/],
    ['imports what is not there', "import 'nowhere';", /could not be loaded: Cannot find package/],
    ['exports nothing', 'const a = 1;', /exports nothing and makes no pipeline/],
    ['ends its process', 'process.exit(3);', /ended its process \(code 3\)/],
    ['never ends loading', 'await new Promise((r) => setTimeout(r, 60_000));', /did not finish/],
  ] as const)('a module that %s', async (_what, source, message) => {
    const file = await modules.write(source);
    const never = source.startsWith('await');
    const timeout = never ? ['--load-timeout', '300'] : [];
    expect(await sentence('lint', file, ...timeout)).toMatch(message);
  });

  it('settings that say what is not known', async () => {
    const file = await modules.write(good);
    const wrong = async (settings: unknown): Promise<string> => {
      const text = typeof settings === 'string' ? settings : JSON.stringify(settings);
      return sentence('lint', file, '--config', await modules.write(text, 'wrong.json'));
    };
    expect(await wrong('{')).toMatch(/is no JSON/);
    expect(await wrong({ service: {} })).toMatch(/settings\.service is not an option; known are/);
    expect(await wrong({ dependencies: { db: { objective: 1 } } })).toMatch(
      /dependencies\.db\.objective must be a ratio above 0 and below 1, but got 1/,
    );
    expect(await wrong({ calls: [{ from: 'a' }] })).toMatch(/calls\.to must be there/);
    expect(await wrong({ calls: [{ from: 'a', to: 'b' }] })).toMatch(/name a service 'a' in calls/);
  });

  it('an event log that is not there, or holds no event', async () => {
    const file = await modules.write(good);
    expect(await sentence('ops', file, '--out', 'o', '--events', 'none')).toMatch(
      /there is no event log/,
    );
    const log = await modules.write('{"msg":"hello"}', 'no-events.ndjson');
    expect(await sentence('ops', file, '--out', 'o', '--events', log)).toMatch(
      /holds no event: one/,
    );
  });

  it('two modules that are taken for one service', async () => {
    const file = await modules.write(good);
    expect(await sentence('lint', `shop=${file}`, `shop=${file}`)).toMatch(
      /two modules are taken for the service 'shop'/,
    );
  });

  it.runIf(!(process.features as { typescript?: unknown }).typescript)(
    'TypeScript, where Node can’t run it',
    async () => {
      expect(await sentence('lint', await modules.write(good, 'typed.ts'))).toMatch(
        /can't run TypeScript: name the JavaScript/,
      );
    },
  );
});

describe('resil explain', () => {
  it('lists the rules, and tells all of one', async () => {
    const { out } = await resil('explain');
    expect(out.trimEnd().split('\n')).toHaveLength(rules.length);
    const one = await resil('explain', 'retry-storm');
    expect(one).toMatchObject({ code: 0, err: '' });
    expect(one.out).toContain('Attempts of nested layers multiply');
    expect(one.out).toContain('    import { pipeline, retry, timeout }');
    expect(JSON.parse((await resil('explain', 'retry-storm', '--json')).out)).toMatchObject({
      id: 'retry-storm',
      severity: 'error',
    });
  });
});

describe('resil ops', () => {
  it('writes the kit of a service, and of several into a folder each', async () => {
    const file = await modules.write(good);
    const one = await resil('ops', `shop=${file}`, '--out', 'kit');
    expect(one).toMatchObject({ code: 0, err: '' });
    expect(one.out.trimEnd().split('\n')).toEqual([
      'kit/alerts.yml',
      'kit/dashboard.json',
      'kit/runbooks/quotes.md',
      'kit/playbooks/dependency-down.md',
      'kit/playbooks/slow-dependency.md',
      'kit/playbooks/overload.md',
      'kit/playbooks/retry-storm.md',
      'kit/post-mortem.md',
    ]);
    const several = await resil('ops', `a=${file}`, `b=${file}`, '--out', 'kits', '--json');
    expect(JSON.parse(several.out).written).toContain('kits/b/alerts.yml');
  });

  it('fills the post-mortem from an event log', async () => {
    const event = {
      type: 'circuit.opened',
      pipeline: 'quotes',
      strategy: 'q',
      at: 1,
      reason: 'failures',
    };
    const log = await modules.write(JSON.stringify(event), 'incident.ndjson');
    const file = await modules.write(good);
    expect((await resil('ops', file, '--out', 'filled', '--events', log)).code).toBe(0);
    const text = await readFile(path.join(await modules.folder, 'filled/post-mortem.md'), 'utf8');
    expect(text).toContain('| +0.0 s | quotes | **the circuit opened** | failures |');
  });
});

describe('resil assess', () => {
  it('tells the level of each area, the evidence and the next step', async () => {
    const file = await modules.write(good, 'assessed/quotes.mjs');
    await modules.write('{}', 'assessed/package.json');
    const { code, out } = await resil('assess', file);
    expect(code).toBe(0);
    expect(out).toContain('quotes is at level 0 of 5');
    expect(out).toContain('patterns: level 2');
    expect(out).toContain('✗ 3 every pipeline has a circuit breaker that refuses');
    expect(out).toContain('0 of 1 pipelines have a circuit breaker that refuses; not quotes');
    expect(out).toContain('next: add a circuitBreaker to each');
  });

  it('gives JSON, and ends with 1 below the level that is asked for', async () => {
    const file = await modules.write(good, 'assessed/quotes.mjs');
    const { code, out } = await resil('assess', file, '--json', '--min-level', '1');
    expect(code).toBe(1);
    const [assessment] = JSON.parse(out).assessments;
    expect(assessment).toMatchObject({ service: 'quotes', level: 0 });
    expect(assessment.areas).toHaveLength(4);
  });

  it('reads a log of events', async () => {
    const lines = ['circuit.opened', 'circuit.closed'].map((type, at) =>
      JSON.stringify({ type, at, pipeline: 'quotes', strategy: 'q' }),
    );
    const log = await modules.write(lines.join('\n'), 'drill.ndjson');
    const { out } = await resil('assess', await modules.write(good), '--events', log);
    expect(out).toContain('1 of 1 outages in the log came to their end');
  });
});

it('shows its help with examples and exit codes', async () => {
  expect((await resil('--help')).out).toContain('Exit codes: 0 fine, 1 something was found');
  const { code, out } = await resil('lint', '--help');
  expect(code).toBe(0);
  expect(out).toContain('Examples:\n  resil lint dist/clients.js');
});

it('is a program', async () => {
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
  const file = await modules.write(bad);
  const ended = await promisify(execFile)(process.execPath, [main, 'lint', file]).catch(
    (error: { code: number; stdout: string }) => error,
  );
  expect(ended).toMatchObject({ code: 1 });
  expect(ended.stdout).toContain('no-timeout');
});
