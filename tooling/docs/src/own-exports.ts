// A docstring's example needn't import what its own package or the core exports: the reader is
// looking at it.

import fs from 'node:fs';
import path from 'node:path';
import type { Example } from './examples.js';

interface Exports {
  readonly values: readonly string[];
  readonly types: readonly string[];
}

/** What an `index.ts` that lists its exports one by one exports. */
export function listedExports(index: string): Exports {
  const values: string[] = [];
  const types: string[] = [];
  const lists = index
    .replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '')
    .matchAll(/export (type )?\{([^}]*)\}/g);
  for (const [, typeOnly, list = ''] of lists) {
    for (const entry of list.split(',').map((text) => text.trim())) {
      if (entry === '') continue;
      const name = entry.replace(/^type /, '').replace(/^.* as /, '');
      (typeOnly !== undefined || entry.startsWith('type ') ? types : values).push(name);
    }
  }
  return { values, types };
}

/** The line that imports what `text` uses of its own package, or an empty one. */
export function importLine(text: string, packageName: string, { values, types }: Exports): string {
  const uses = (name: string) =>
    new RegExp(`(?<![\\w$.])${name}(?![\\w$]|\\s*:)`).test(text) &&
    !new RegExp(
      `import[^;]*\\b${name}\\b[^;]*from|(?:const|let|class|function|type) ${name}\\b`,
    ).test(text);
  const names = [...values.filter(uses), ...types.filter(uses).map((name) => `type ${name}`)];
  return names.length === 0 ? '' : `import { ${names.join(', ')} } from '${packageName}';`;
}

/** `example` with the imports it may leave out, if it is a docstring's. */
export function withOwnExports(root: string, example: Example): Example {
  const own = /^(packages\/[^/]+)\/src\//.exec(example.file)?.[1];
  if (own === undefined) return example;
  let text = example.lines.map((line) => line.text).join('\n');
  const imports: string[] = [];
  for (const folder of new Set([own, 'packages/core'])) {
    const { name } = JSON.parse(fs.readFileSync(path.join(root, folder, 'package.json'), 'utf8'));
    const index = fs.readFileSync(path.join(root, folder, 'src/index.ts'), 'utf8');
    const line = importLine(text, name, listedExports(index));
    imports.push(line);
    // What is imported from its own package hides the core's of the same name.
    text = `${line}\n${text}`;
  }
  const first = imports.map((line) => ({ text: line, line: example.line }));
  return { ...example, lines: [...first, ...example.lines] };
}
