/** What a part of the bench has to say, and how it is written as Markdown. */

/** A table: the head, and rows of the same length. */
export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A figure that the project set itself. */
export interface Target {
  /** The claim, with its number. */
  readonly claim: string;
  /** What was measured, in words. */
  readonly measured: string;
  readonly reached: boolean;
}

/** What one part found. */
export interface PartReport {
  readonly tables: readonly Table[];
  readonly targets: readonly Target[];
}

/** All parts as one Markdown text: the targets first, then the tables. */
export function markdownOf(reports: readonly PartReport[]): string {
  const targets: Table = {
    title: 'Targets',
    head: ['target', 'measured', 'reached'],
    rows: reports
      .flatMap((report) => report.targets)
      .map(({ claim, measured, reached }) => [claim, measured, reached ? 'yes' : '**no**']),
  };
  return [targets, ...reports.flatMap((report) => report.tables)].map(markdownTable).join('\n\n');
}

/** Nanoseconds, as people read them. */
export function nanoseconds(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} ms`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)} µs`;
  return `${value.toFixed(0)} ns`;
}

/** A ratio, as people read it. */
export function times(value: number): string {
  return `${value >= 10 ? value.toFixed(0) : value.toFixed(value >= 2 ? 1 : 2)}×`;
}

function markdownTable({ title, head, rows }: Table): string {
  const widths = head.map((cell, column) =>
    Math.max(cell.length, ...rows.map((row) => (row[column] as string).length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => padded(cell, widths[column] as number, column)).join(' | ')} |`;
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [`**${title}**`, '', line(head), line(rule), ...rows.map(line)].join('\n');
}

function padded(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}
