// Finds the examples of READMEs and docstrings, and writes each as a module of its own.
//
// A fence says what its example needs after the language: "```ts" runs as it is; "```ts http" has an
// HTTP server at process.env.API_URL; "```ts pg" has a PostgreSQL in PGHOST, PGPORT and the rest;
// "```ts continues" goes on where the example before it ended; "```ts no-run (why)" is only compiled.
// What a reader needn't see stands in a comment right before the fence: "<!-- setup", code, "-->".

import fs from 'node:fs';
import path from 'node:path';

export interface Example {
  /** Relative to the repository's root. */
  readonly file: string;
  /** Line of its fence, 1-based. */
  readonly line: number;
  readonly needs: readonly ('http' | 'pg')[];
  /** Why it isn't run, if it isn't. */
  readonly notRun: string | undefined;
  /** Its lines, and where each stands in `file`. */
  readonly lines: readonly { readonly text: string; readonly line: number }[];
}

export interface Found {
  readonly examples: readonly Example[];
  /** Fences that can't be read, each with its place and what is wrong. */
  readonly problems: readonly string[];
}

const otherNames = /^(?:typescript|tsx|js|jsx|mjs|cjs|javascript)$/;

interface Fence {
  readonly line: number;
  readonly indent: string;
  readonly language: string;
  readonly words: string;
}

/** The text without what stands before every line of a docstring. */
function docstringText(source: string): string {
  let inside = false;
  return source
    .split('\n')
    .map((line) => {
      if (/^\s*\/\*\*/.test(line)) inside = true;
      const text = inside ? line.replace(/^\s*(?:\/\*\*|\*(?!\/)) ?/, '') : '';
      if (line.includes('*/')) inside = false;
      return text;
    })
    .join('\n');
}

function readWords(words: string) {
  const notRun = /\bno-run\b(?:\s*\(([^)]*)\))?/.exec(words);
  const rest = words
    .replace(notRun?.[0] ?? '', '')
    .split(/\s+/)
    .filter((word) => word !== '');
  return {
    notRun: notRun === null ? undefined : (notRun[1]?.trim() ?? ''),
    needs: rest.filter((word) => word === 'http' || word === 'pg'),
    continues: rest.includes('continues'),
    unknown: rest.filter((word) => !['http', 'pg', 'continues'].includes(word)),
  };
}

/** The examples in one text; `file` names it in what comes out. */
export function findExamples(file: string, text: string): Found {
  const source = file.endsWith('.md') ? text : docstringText(text);
  const examples: Example[] = [];
  const problems: string[] = [];
  let fence: Fence | undefined;
  let body: { text: string; line: number }[] = [];
  let setup: { text: string; line: number }[] = [];
  let inSetup = false;

  const finish = ({ line, language, words }: Fence): void => {
    const place = `${file}:${line}`;
    if (otherNames.test(language)) {
      problems.push(`${place}: write \`ts\` instead of \`${language}\`, so that it is checked`);
    }
    if (language !== 'ts') return;
    const { notRun, needs, continues, unknown } = readWords(words);
    if (unknown.length > 0) problems.push(`${place}: nobody knows '${unknown.join(' ')}'`);
    if (notRun === '') problems.push(`${place}: \`no-run\` needs its reason in parentheses`);
    const before = continues ? examples.at(-1) : undefined;
    if (continues && before === undefined) problems.push(`${place}: there is nothing to continue`);
    examples.push({
      file,
      line,
      needs: [...new Set([...(before?.needs ?? []), ...needs])],
      notRun: notRun ?? before?.notRun,
      lines: [...(before?.lines ?? []), ...setup, ...body],
    });
  };

  source.split('\n').forEach((text, index) => {
    const line = index + 1;
    if (fence !== undefined) {
      if (text.trim() === '```') {
        finish(fence);
        fence = undefined;
        setup = [];
      } else {
        body.push({
          text: text.startsWith(fence.indent) ? text.slice(fence.indent.length) : text,
          line,
        });
      }
      return;
    }
    if (inSetup) {
      if (text.trim() === '-->') inSetup = false;
      else setup.push({ text, line });
      return;
    }
    if (/^<!-- setup\s*$/.test(text)) {
      inSetup = true;
      setup = [];
      return;
    }
    const opened = /^(\s*)```(\w+)(.*)$/.exec(text);
    if (opened !== null) {
      const [, indent = '', language = '', words = ''] = opened;
      fence = { line, indent, language, words };
      body = [];
    } else if (text.trim() !== '') {
      setup = [];
    }
  });
  if (fence !== undefined) problems.push(`${file}:${fence.line}: this fence is never closed`);
  return { examples, problems };
}

/** Every README, every page of `docs/` and every published source, relative to `root`. */
export function documentedFiles(root: string): string[] {
  const folders = ['packages', 'apps', 'tooling'].flatMap((group) =>
    fs.readdirSync(path.join(root, group)).map((name) => `${group}/${name}`),
  );
  const readmes = ['README.md', ...folders.map((folder) => `${folder}/README.md`)];
  const pages = fs
    .readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => path.join('docs', file))
    .sort();
  const sources = folders
    .filter((folder) => folder.startsWith('packages/'))
    .map((folder) => `${folder}/src`)
    .filter((folder) => fs.existsSync(path.join(root, folder)))
    .flatMap((folder) =>
      fs
        .readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts') && !/\.test(?:-d)?\.ts$/.test(name))
        .map((name) => `${folder}/${name}`),
    );
  return [...readmes, ...pages, ...sources]
    .filter((file) => fs.existsSync(path.join(root, file)))
    .sort();
}
