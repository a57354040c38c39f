// What of the core an application ships that uses all of it, or one pattern: bundled by Rolldown with
// nothing but what is used, minified, and compressed by gzip. The sizes stand at the end of the core's
// API report, so that growth shows in a diff.

import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import { root } from './workspace.mjs';

/** The package whose sizes are kept. */
export const sizedFolder = 'packages/core';

/** The whole, then each pattern alone, then what puts them together. */
export const sizedExports = [
  'everything',
  'retry',
  'circuitBreaker',
  'bulkhead',
  'timeout',
  'fallback',
  'hedge',
  'rateLimiter',
  'adaptiveLimiter',
  'throttle',
  'failover',
  'cache',
  'coalesce',
  'pipeline',
  'keyed',
  'standard',
];

/** Share by which a size may differ from the report's before that has to be rewritten. */
export const tolerance = 0.01;

const heading = '## Bundle size';

/** Bytes of a bundle of `name`, minified and then compressed. */
export async function bundleSize(name) {
  const entry = path.join(root, sizedFolder, 'dist/index.js');
  const code = name === 'everything' ? `export * from 'core';` : `export { ${name} } from 'core';`;
  const build = await rolldown({
    input: 'entry',
    platform: 'neutral',
    logLevel: 'silent',
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === 'entry' ? '\0entry' : id === 'core' ? entry : null),
        load: (id) => (id === '\0entry' ? code : null),
      },
    ],
  });
  try {
    const { output } = await build.generate({ format: 'esm', minify: true });
    const text = output[0].code;
    return { minified: Buffer.byteLength(text), gzipped: gzipSync(text, { level: 9 }).length };
  } finally {
    await build.close();
  }
}

let measured;

/** The sizes of everything that is kept, by name. */
export function bundleSizes() {
  measured ??= (async () => {
    const sizes = {};
    for (const name of sizedExports) sizes[name] = await bundleSize(name);
    return sizes;
  })();
  return measured;
}

/** The sizes as the report shows them, in bytes. */
export function sizesText(sizes) {
  const rows = Object.entries(sizes).map(
    ([name, { minified, gzipped }]) => `| \`${name}\` | ${minified} | ${gzipped} |`,
  );
  return [
    heading,
    '',
    'Bytes of a bundle of one export, written by `pnpm bundle-size`.',
    '',
    '| export | minified | gzipped |',
    '| --- | ---: | ---: |',
    ...rows,
    '',
  ].join('\n');
}

/** A report without its sizes, and these. */
export function splitReport(text) {
  const at = text.indexOf(`\n${heading}\n`);
  if (at < 0) return { surface: text, sizes: {} };
  const rows = [...text.slice(at).matchAll(/^\| `(\w+)` \| (\d+) \| (\d+) \|$/gm)];
  const sizes = Object.fromEntries(
    rows.map(([, name, minified, gzipped]) => [
      name,
      { minified: Number(minified), gzipped: Number(gzipped) },
    ]),
  );
  return { surface: text.slice(0, at), sizes };
}

/** What differs by more than is tolerated, a line each. */
export function sizeChanges(kept, now) {
  return [...new Set([...Object.keys(kept), ...Object.keys(now)])].flatMap((name) => {
    const [before, after] = [kept[name]?.gzipped, now[name]?.gzipped];
    if (before === undefined) return [`${name}: ${after} bytes gzipped, not in the report`];
    if (after === undefined) return [`${name}: in the report, but not measured`];
    if (Math.abs(after - before) <= tolerance * before) return [];
    const share = after / before - 1;
    const sign = share > 0 ? '+' : '−';
    return [
      `${name}: ${before} → ${after} bytes gzipped (${sign}${Math.abs(100 * share).toFixed(1)} %)`,
    ];
  });
}
