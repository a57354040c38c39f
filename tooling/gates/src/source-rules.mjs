// Rules about a source file that no compiler knows. A rule gets the text with comments and strings
// blanked out where they don't matter, and returns the lines that break it.

/** Blanks comments and the text of templates, keeping line breaks, and strings too unless `strings` is set. */
export function withoutComments(text, { strings = false } = {}) {
  // Regular expression literals aren't told apart: one that holds a quote or `//` reads as a string
  // or a comment, which blanks too much and never too little to matter here.
  const pattern =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
  return text.replace(pattern, (found) => {
    const comment = found.startsWith('/');
    // A template's text is text, its expressions are code.
    if (!comment && strings && !found.startsWith('`')) return found;
    if (found.startsWith('`')) {
      const expressions = found.match(/\$\{[^}]*\}/g) ?? [];
      const breaks = found.replace(/[^\n]/g, '');
      return `${expressions.join(' ')}${breaks}`;
    }
    return found.replace(/[^\n]/g, ' ');
  });
}

/** `line: text` of each line of `text` that `pattern` matches. */
export function matchingLines(text, pattern) {
  return text
    .split('\n')
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => pattern.test(line))
    .map(({ line, number }) => `${number}: ${line.trim()}`);
}

/** Sources of time and chance, allowed in `clock.ts` and `random.ts` alone. */
export const timeOrChance =
  /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bperformance\.now\b|\b(?:set|clear)(?:Timeout|Interval)\b|\bprocess\.hrtime\b/;

/** What a module imports or re-exports, dynamic imports included. */
export function importedModules(text) {
  const code = withoutComments(text, { strings: true });
  const pattern =
    /(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+|\brequire\s*\(\s*|\bdeclare\s+module\s+)(['"])([^'"\n]+)\1/g;
  return [...code.matchAll(pattern)].map((match) => match[2]);
}

export const switchedOffTests =
  /\b(?:it|test|describe|bench|suite)(?:\.[a-z]+)*\.(?:skip|only|todo|fails)\b|\b(?:x|f)(?:it|describe)\s*\(/;

export const switchedOffChecks = /@ts-(?:ignore|nocheck)\b/;
