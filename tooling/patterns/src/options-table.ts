/** Tables of options, made of the docstrings of the options' interfaces: what is written once can't drift. */
import { readFileSync } from 'node:fs';

/** One option, as its docstring has it. */
export interface DocumentedOption {
  readonly name: string;
  readonly type: string;
  /** The first sentences, and the range. */
  readonly meaning: string;
  readonly defaultValue: string;
}

/** The options of an interface, in the order of its source. */
export function optionsOf(source: string, name: string): DocumentedOption[] {
  const start = source.search(new RegExp(`export interface ${name}\\b`));
  if (start < 0) throw new Error(`there is no interface ${name}`);
  const body = source.slice(source.indexOf('{', start) + 1, source.indexOf('\n}', start));
  const options: DocumentedOption[] = [];
  const member =
    /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*readonly (\w+)(\??):\s*([\s\S]*?);\n(?=\s*(?:\/\*\*|$|\n))/g;
  for (const [, doc = '', option = '', optional = '', type = ''] of `${body}\n`.matchAll(member)) {
    options.push({ name: option, type: plainType(type), ...readDoc(doc, optional === '') });
  }
  if (options.length === 0) throw new Error(`${name} has no documented option`);
  return options;
}

/** The table in Markdown. */
export function optionsTable(options: readonly DocumentedOption[]): string {
  const rows = options.map(
    ({ name, type, defaultValue, meaning }) =>
      `| \`${name}\` | ${type} | ${defaultValue} | ${meaning} |`,
  );
  return ['| option | type | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** Reads an interface of a file of the core. */
export function readOptions(file: URL, name: string): DocumentedOption[] {
  return optionsOf(readFileSync(file, 'utf8'), name);
}

function readDoc(
  doc: string,
  required: boolean,
): Pick<DocumentedOption, 'meaning' | 'defaultValue'> {
  const text = doc
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim())
    .join('\n');
  const tagged = /@defaultValue\s+([\s\S]*?)(?=\n\s*\n|\n@|$)/.exec(text)?.[1];
  const told = /(?:^|[\s.])Default: ([\s\S]*?)\.?(?=\n\s*\n|\n@|\s*$)/.exec(text)?.[1];
  const meaning = text
    .replace(/@\w+[\s\S]*$/, '')
    .replace(/(?:^|\s)Default: [\s\S]*$/, '')
    .trim()
    .replace(/\n\s*\n/g, ' ')
    .replace(/\s*\n\s*/g, ' ');
  return {
    meaning: cell(meaning),
    defaultValue: cell(plainDefault(tagged ?? told ?? (required ? 'required' : 'none'))),
  };
}

/** `bulkheadDefaults.maxQueueSize` (0)` is for those who read code; the table shows the value. */
function plainDefault(text: string): string {
  const line = text.trim().replace(/\s+/g, ' ');
  return line.replace(/^`\w+Defaults?(?:\.\w+)+` \(([^)]*)\)/, '$1');
}

function plainType(type: string): string {
  const line = type
    .replace(/\s+/g, ' ')
    .replace(/^\| /, '')
    .replace(/ \| undefined$/, '')
    .trim();
  return `\`${cell(line)}\``;
}

function cell(text: string): string {
  return text.replace(/\{@link (\w+)(?:\.\w+)?\}/g, '`$1`').replace(/\|/g, '\\|');
}
