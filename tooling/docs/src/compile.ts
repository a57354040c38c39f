// Compiles examples as a user's project would: against the built declarations, strictly.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Example } from './examples.js';

export interface Compiled {
  readonly example: Example;
  /** The emitted module. */
  readonly script: string;
  /** What the compiler says, at the places of the README. */
  readonly errors: readonly string[];
}

/** Writes all examples into `folder` (emptied first) and compiles them in one go. */
export function compileExamples(examples: readonly Example[], folder: string): Compiled[] {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const name = (index: number) => `example-${index + 1}`;
  examples.forEach(({ lines }, index) => {
    const text = lines.map((line) => `${line.text}\n`).join('');
    fs.writeFileSync(path.join(folder, `${name(index)}.ts`), text);
  });
  const config = {
    extends: '../../tsconfig/base.json',
    compilerOptions: {
      types: ['node'],
      customConditions: [],
      incremental: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
      rootDir: '.',
      outDir: 'out',
    },
    include: ['*.ts'],
  };
  fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(config));

  const compiler = path.join(
    path.dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
    'bin/tsc',
  );
  const { stdout, stderr, error } = spawnSync(
    process.execPath,
    [compiler, '-p', folder, '--pretty', 'false'],
    { cwd: folder, encoding: 'utf8' },
  );
  if (error !== undefined) throw error;
  const output = `${stdout}${stderr}`;

  const errors = new Map<string, string[]>();
  const elsewhere: string[] = [];
  let last: string[] = elsewhere;
  for (const line of output.split('\n').filter((text) => text.trim() !== '')) {
    const found = /^(example-\d+)\.ts\((\d+),\d+\): (.*)$/.exec(line);
    if (found === null) {
      last.push(line);
      continue;
    }
    const [, module = '', number, text] = found;
    const example = examples[Number(module.slice('example-'.length)) - 1];
    const place = example?.lines[Number(number) - 1]?.line ?? example?.line;
    last = errors.get(module) ?? [];
    errors.set(module, last);
    last.push(`${example?.file}:${place}: ${text}`);
  }
  if (elsewhere.length > 0) throw new Error(`the compiler said:\n${elsewhere.join('\n')}`);

  return examples.map((example, index) => ({
    example,
    script: path.join(folder, 'out', `${name(index)}.js`),
    errors: errors.get(name(index)) ?? [],
  }));
}
