/** The page: what stands where, and what is chosen. */
import type { VNode } from 'preact';
import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';
import type { PipelineOfProcess } from '../protocol.js';
import { Detail } from './detail.js';
import { EventsPanel } from './events-panel.js';
import { type Choice, Header, Tools } from './header.js';
import type { Order } from './order.js';
import { OrderDialog } from './order-dialog.js';
import { PipelineList } from './pipeline-list.js';
import type { Store } from './store.js';
import { restoreTheme } from './theme.js';
import { nameOf } from './words.js';

restoreTheme();

const rank = { open: 0, isolated: 1, 'half-open': 2, closed: 3 } as const;

export function App({ store }: { readonly store: Store }): VNode {
  const [, setVersion] = useState(0);
  const [choice, setChoice] = useState<Choice>({ text: '', trouble: false, sort: 'state' });
  const [selected, setSelected] = useState(idInAddress);
  const [order, setOrder] = useState<Order | undefined>(undefined);
  const [token, setToken] = useState('');
  const [told, setTold] = useState('');

  useEffect(() => store.subscribe(() => setVersion((version) => version + 1)), [store]);
  useEffect(() => {
    const onHash = (): void => setSelected(idInAddress());
    addEventListener('hashchange', onHash);
    return () => removeEventListener('hashchange', onHash);
  }, []);
  useEffect(() => {
    document.title = store.title || 'resilience';
  }, [store.title]);

  const select = useCallback((id: string) => {
    location.hash = encodeURIComponent(id);
  }, []);
  const deselect = useCallback(() => {
    history.pushState(null, '', location.pathname + location.search);
    setSelected(undefined);
  }, []);

  const rows = useMemo(() => chosen(store, choice), [store.at, store.epoch, choice]);
  const row = selected === undefined ? undefined : store.rows.get(selected);

  return (
    <div class={`page${row === undefined ? '' : ' with-detail'}`}>
      <Header store={store} />
      <p class="told" role="status" aria-live="polite">
        {told}
      </p>
      <main class="panes">
        <section class="overview" aria-label="All pipelines">
          <Tools store={store} choice={choice} shown={rows.length} onChoice={setChoice} />
          {rows.length === 0 ? (
            <p class="empty">{emptyWords(store)}</p>
          ) : (
            <PipelineList store={store} rows={rows} selected={row?.id} onSelect={select} />
          )}
          <Hidden store={store} />
        </section>
        <aside class="side" aria-label={row === undefined ? 'Events' : nameOf(row)}>
          {row === undefined ? (
            <EventsPanel store={store} onSelect={select} />
          ) : (
            <Detail store={store} row={row} onOrder={setOrder} onClose={deselect} />
          )}
        </aside>
      </main>
      {order !== undefined && (
        <OrderDialog
          order={order}
          token={token}
          onCancel={() => setOrder(undefined)}
          onDone={(detail, right) => {
            setToken(right);
            setTold(detail);
            setOrder(undefined);
          }}
        />
      )}
    </div>
  );
}

/** Pipelines that there is no room for. */
function Hidden({ store }: { readonly store: Store }): VNode | null {
  const hidden = store.processes.reduce((sum, process) => sum + process.hidden, 0);
  return hidden === 0 ? null : <p class="notice">{hidden} more pipelines are not shown.</p>;
}

function emptyWords(store: Store): string {
  if (!store.known) return 'Connecting…';
  return store.rows.size === 0
    ? 'This process has no pipeline yet. It is shown as soon as it has one.'
    : 'No pipeline is like that.';
}

/** The rows that are wanted, in the order that is wanted. */
function chosen(store: Store, { text, trouble, sort }: Choice): readonly PipelineOfProcess[] {
  const wanted = text.trim().toLowerCase();
  const rows = [...store.rows.values()].filter(
    (row) =>
      (!trouble || isTroubled(row)) &&
      (wanted === '' ||
        [nameOf(row), row.key, row.target, row.state, store.processOf(row)?.name].some((part) =>
          part?.toLowerCase().includes(wanted),
        )),
  );
  // As texts and not as a language has it: the browser's may be one that it doesn't know.
  const byName = (a: PipelineOfProcess, b: PipelineOfProcess): number =>
    order(nameOf(a), nameOf(b)) || a.id.length - b.id.length || order(a.id, b.id);
  const weight = (row: PipelineOfProcess): number => {
    const { succeeded, failed, rejected } = row.rates;
    if (sort === 'state') return row.state === null ? 4 : rank[row.state];
    if (sort === 'calls') return -(succeeded + failed + rejected);
    if (sort === 'trouble') return -(failed + rejected);
    if (sort === 'latency') return -(row.latency?.p95 ?? -1);
    return 0;
  };
  return rows.sort((a, b) => weight(a) - weight(b) || byName(a, b));
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isTroubled({ state, rates, waiting }: PipelineOfProcess): boolean {
  return (state ?? 'closed') !== 'closed' || rates.failed + rates.rejected > 0 || waiting > 0;
}

function idInAddress(): string | undefined {
  const id = decodeURIComponent(location.hash.slice(1));
  return id === '' ? undefined : id;
}
