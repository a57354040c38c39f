// Bundles the page into one script and one style sheet, and writes both as texts into a module that the
// server imports: a user's own bundler takes them along, and nothing is looked for on a disk.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const home = path.dirname(fileURLToPath(import.meta.url));
const { resolve } = createRequire(import.meta.url);
const read = (file) => fs.readFileSync(file, 'utf8');

/** What is bundled in, whose licences go along. */
const bundled = ['preact', 'uplot'];

const licences = bundled
  .map((name) => {
    const folder = path.dirname(resolve(`${name}/package.json`));
    return `${name}\n\n${read(path.join(folder, 'LICENSE')).trim()}`;
  })
  .join('\n\n---\n\n');
const banner = `/*! This file contains:\n\n${licences.replaceAll('*/', '* /')}\n*/\n`;

const bundle = await rolldown({
  input: path.join(home, 'src/page/main.ts'),
  platform: 'browser',
  tsconfig: false,
  resolve: {
    extensionAlias: { '.js': ['.ts', '.tsx', '.js'] },
    conditionNames: ['@resil/source', 'browser', 'import', 'module', 'default'],
  },
  transform: {
    target: 'es2022',
    jsx: { runtime: 'automatic', importSource: 'preact' },
    define: { 'process.env.NODE_ENV': '"production"' },
  },
});
const { output } = await bundle.generate({ format: 'esm', minify: true, codeSplitting: false });
const [{ code }] = output;

const style = [resolve('uplot/dist/uPlot.min.css'), path.join(home, 'src/page/style.css')]
  .map(read)
  .join('\n');

const folder = path.join(home, 'dist');
fs.mkdirSync(folder, { recursive: true });
fs.writeFileSync(
  path.join(folder, 'page.js'),
  `export const script = ${JSON.stringify(banner + code)};\nexport const style = ${JSON.stringify(style)};\n`,
);
fs.writeFileSync(
  path.join(folder, 'page.d.ts'),
  'export declare const script: string;\nexport declare const style: string;\n',
);
