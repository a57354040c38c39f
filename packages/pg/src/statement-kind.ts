/** What a statement does to a transaction, told by its first word. Comments before it are skipped. */

/**
 * `begin` must not be answered by anybody but the server; `commit` may end with nobody knowing whether
 * it was done; `rollback` must always get through.
 */
export type StatementKind = 'begin' | 'commit' | 'rollback' | 'other';

const LEADING = /^(?:\s|--[^\n]*(?:\n|$)|\/\*[^*]*\*+(?:[^/*][^*]*\*+)*\/|;)*/;
const BEGIN = /^(?:begin|start\s+transaction)\b/i;
const COMMIT = /^(?:commit|end)\b/i;
const ROLLBACK = /^(?:rollback|abort)\b/i;
const LAST_COMMIT =
  /;\s*(?:commit|end)(?:\s+(?:work|transaction))?(?:\s+and\s+(?:no\s+)?chain)?\s*;?\s*$/i;

/** Tells what a statement does. In a text of several statements a COMMIT at the end counts. */
export function statementKind(text: string): StatementKind {
  const start = LEADING.exec(text)?.[0].length ?? 0;
  const rest = start === 0 ? text : text.slice(start);
  if (BEGIN.test(rest)) return 'begin';
  if (COMMIT.test(rest)) return 'commit';
  if (ROLLBACK.test(rest)) return 'rollback';
  return LAST_COMMIT.test(rest) ? 'commit' : 'other';
}
