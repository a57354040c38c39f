import { describe, expect, it } from 'vitest';
import { closingLine, countReport, total } from '../../scripts/test-totals.mjs';

const file = (status: string, tests: string[]) => ({
  status,
  endTime: 1_500,
  assertionResults: tests.map((test) => ({ status: test })),
});

const report = (counts: object, testResults: object[] = [], success = true) => ({
  startTime: 1_000,
  numPassedTests: 0,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  success,
  testResults,
  ...counts,
});

describe('test totals', () => {
  it('count tests, not files', () => {
    const files = [file('passed', ['passed', 'passed']), file('failed', ['failed', 'passed'])];
    expect(countReport(report({ numPassedTests: 3, numFailedTests: 1 }, files, false))).toEqual({
      passed: 3,
      failed: 1,
      skipped: 0,
      duration: 500,
    });
  });

  it('count a file that failed before its first test', () => {
    expect(countReport(report({}, [file('failed', [])], false)).failed).toBe(1);
  });

  it('count a run that failed although every test passed', () => {
    const files = [file('passed', ['passed'])];
    expect(countReport(report({ numPassedTests: 1 }, files, false)).failed).toBe(1);
  });

  it('end in one line, which names skipped tests only when there are some', () => {
    const rows = [
      { passed: 3, failed: 1, skipped: 0 },
      { passed: 4, failed: 0, skipped: 2 },
    ];
    expect(closingLine(total(rows))).toBe('7 passed, 1 failed, 2 skipped');
    expect(closingLine({ passed: 7, failed: 0, skipped: 0 })).toBe('7 passed, 0 failed');
  });
});
