/** The list of pipelines: only the lines that can be seen are in the document, however many there are. */
import type { VNode } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { PipelineOfProcess } from '../protocol.js';
import { PipelineRow } from './pipeline-row.js';
import { Spark } from './spark.js';
import type { Store } from './store.js';

/** Lines beyond those that can be seen, above and below. */
const OVERSCAN = 4;
const NO_SPARK = new Spark();

const columns = [
  ['Circuit', 'cell-state'],
  ['Pipeline', 'cell-name'],
  ['Last minute', 'cell-spark'],
  ['Calls', 'number'],
  ['Not ok', 'number cell-bad'],
  ['p95', 'number cell-latency'],
  ['In flight', 'number cell-flight'],
] as const;

/** What the list shows. */
export interface PipelineListProps {
  readonly store: Store;
  readonly rows: readonly PipelineOfProcess[];
  readonly selected: string | undefined;
  readonly onSelect: (id: string) => void;
}

export function PipelineList({ store, rows, selected, onSelect }: PipelineListProps): VNode {
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600, row: 52 });
  const [focused, setFocused] = useState<string | undefined>(undefined);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return undefined;
    const measure = (): void => {
      const row = Number.parseFloat(getComputedStyle(element).getPropertyValue('--row')) || 52;
      setView({ top: element.scrollTop, height: element.clientHeight, row });
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener('scroll', measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', measure);
    };
  }, []);

  // A line that is chosen by its keys is brought into view, and has the focus.
  useEffect(() => {
    if (focused !== undefined) document.getElementById(`row-${focused}`)?.focus();
  }, [focused]);

  const first = Math.max(0, Math.floor(view.top / view.row) - OVERSCAN);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / view.row) + OVERSCAN);
  const entry =
    rows.find(({ id }) => id === focused)?.id ??
    rows.find(({ id }) => id === selected)?.id ??
    rows[0]?.id;
  const several = store.processes.length > 1;

  const moveTo = (index: number): void => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    const element = scroller.current;
    if (row === undefined || element === null) return;
    const top = rows.indexOf(row) * view.row;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + view.row > element.scrollTop + element.clientHeight)
      element.scrollTop = top + view.row - element.clientHeight;
    setView({ ...view, top: element.scrollTop });
    setFocused(row.id);
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const index = rows.findIndex(({ id }) => id === entry);
    const page = Math.max(1, Math.floor(view.height / view.row) - 1);
    const moves: { readonly [key: string]: number } = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: index + page,
      PageUp: index - page,
      Home: 0,
      End: rows.length - 1,
    };
    const move = moves[event.key];
    if (move !== undefined) moveTo(move);
    else if ((event.key === 'Enter' || event.key === ' ') && entry !== undefined) onSelect(entry);
    else return;
    event.preventDefault();
  };

  return (
    // biome-ignore lint/a11y/useSemanticElements: a table can't leave out the lines that are out of sight
    <div
      role="grid"
      class="list"
      aria-label="Pipelines"
      aria-rowcount={rows.length + 1}
      onKeyDown={onKeyDown}
    >
      {/* biome-ignore lint/a11y/useFocusableInteractive: headings are not chosen */}
      {/* biome-ignore lint/a11y/useSemanticElements: no table, as above */}
      <div role="row" aria-rowindex={1} class="row head">
        {columns.map(([name, style]) => (
          // biome-ignore lint/a11y/useFocusableInteractive: headings are not chosen
          // biome-ignore lint/a11y/useSemanticElements: no table, as above
          <div key={name} role="columnheader" class={style}>
            {name}
          </div>
        ))}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: no table, as above */}
      <div class="scroller" role="rowgroup" ref={scroller}>
        <div class="sizer" style={{ height: `${rows.length * view.row}px` }}>
          {rows.slice(first, last).map((row, offset) => (
            <PipelineRow
              key={row.id}
              row={row}
              spark={store.sparks.get(row.id) ?? NO_SPARK}
              at={store.at}
              index={first + offset}
              height={view.row}
              selected={row.id === selected}
              focusable={row.id === entry}
              gone={store.processOf(row)?.state === 'gone'}
              process={several ? store.processOf(row)?.name : undefined}
              onSelect={onSelect}
            />
          ))}
        </div>
      </div>
    </div>
  );
}
