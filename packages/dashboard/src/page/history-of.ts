/** How the chosen pipeline fared: fetched once, and carried on with what the stream tells. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { HistorySeries, PipelineHistory, PipelineOfProcess } from '../protocol.js';
import { historySeries } from '../protocol.js';
import type { Store } from './store.js';

/** Samples that are kept. */
const MAX_SAMPLES = 300;

/** A row's last samples, to be drawn. */
export interface ShownHistory {
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly series: { readonly [name in HistorySeries]: readonly (number | null)[] };
}

const EMPTY: ShownHistory = {
  times: [],
  series: Object.fromEntries(
    historySeries.map((name) => [name, []]),
  ) as unknown as ShownHistory['series'],
};

export function useHistory(store: Store, row: PipelineOfProcess): ShownHistory {
  const [history, setHistory] = useState(EMPTY);
  const shown = useRef('');
  const { at, epoch } = store;
  const what = `${epoch} ${row.id}`;

  useEffect(() => {
    let wanted = true;
    setHistory(EMPTY);
    fetch(`history?pipeline=${encodeURIComponent(row.id)}`)
      .then(async (answer) => {
        if (!answer.ok) return;
        const fetched = (await answer.json()) as PipelineHistory;
        if (!wanted) return;
        shown.current = what;
        setHistory({ times: fetched.at.map((time) => time / 1_000), series: fetched.series });
      })
      .catch(() => {
        // The stream tells that the connection is lost.
      });
    return () => {
      wanted = false;
    };
  }, [what, row.id]);

  useEffect(() => {
    if (shown.current === what) setHistory((before) => extended(before, row, at / 1_000));
  }, [at, what]);

  return history;
}

function extended(before: ShownHistory, row: PipelineOfProcess, time: number): ShownHistory {
  if ((before.times.at(-1) ?? 0) >= time) return before;
  const values: { readonly [name in HistorySeries]: number | null } = {
    succeeded: row.rates.succeeded,
    failed: row.rates.failed,
    rejected: row.rates.rejected,
    retried: row.rates.retried,
    p50: row.latency?.p50 ?? null,
    p95: row.latency?.p95 ?? null,
    p99: row.latency?.p99 ?? null,
    inFlight: row.inFlight,
    waiting: row.waiting,
    limit: row.limits.find(({ running }) => running !== null)?.limit ?? null,
    state:
      row.state === null ? null : ['closed', 'half-open', 'open', 'isolated'].indexOf(row.state),
  };
  const from = Math.max(0, before.times.length + 1 - MAX_SAMPLES);
  return {
    times: [...before.times.slice(from), time],
    series: Object.fromEntries(
      historySeries.map((name) => [name, [...before.series[name].slice(from), values[name]]]),
    ) as unknown as ShownHistory['series'],
  };
}
