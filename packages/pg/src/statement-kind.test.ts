import { describe, expect, it } from 'vitest';
import { statementKind } from './statement-kind.js';

describe('statementKind', () => {
  it.each([
    ['begin', 'BEGIN'],
    ['begin', ' start  transaction isolation level serializable'],
    ['commit', 'COMMIT'],
    ['commit', 'end;'],
    ['commit', '-- done\n/* really */ commit and no chain'],
    ['commit', 'insert into t values (1); COMMIT ;'],
    ['commit', 'commit prepared $$a$$'],
    ['rollback', 'rollback to savepoint a'],
    ['rollback', ';;abort'],
    ['other', 'select 1'],
    ['other', 'committed'],
    ['other', '-- commit'],
    ['other', '/* commit'],
    ['other', "select 'x; commit'"],
    ['other', 'create function f() returns int language plpgsql as $$ begin return 1; end; $$'],
    ['other', ''],
  ] as const)('is %s for %s', (kind, text) => {
    expect(statementKind(text)).toBe(kind);
  });

  it('reads a long text in no time', () => {
    expect(statementKind(`${'/* * / '.repeat(50_000)}${'; '.repeat(50_000)}`)).toBe('other');
    expect(statementKind(`select 1${' ;'.repeat(100_000)}x`)).toBe('other');
    expect(statementKind(`${' '.repeat(200_000)}commit`)).toBe('commit');
  });
});
