/** Everything about one pipeline. */
import type { VNode } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type {
  BreakerSample,
  BudgetSample,
  LimitSample,
  PipelineOfProcess,
  PipelineSample,
} from '../protocol.js';
import { StateBadge } from './badge.js';
import { Chart } from './chart.js';
import { EventsPanel } from './events-panel.js';
import { count, duration, percent, rate, span } from './format.js';
import { type ShownHistory, useHistory } from './history-of.js';
import type { Order } from './order.js';
import type { Store } from './store.js';
import { nameOf, spaced, stateOf } from './words.js';

/** What is shown. */
export interface DetailProps {
  readonly store: Store;
  readonly row: PipelineOfProcess;
  readonly onOrder: (order: Order) => void;
  readonly onClose: () => void;
}

export function Detail({ store, row, onOrder, onClose }: DetailProps): VNode {
  const heading = useRef<HTMLHeadingElement>(null);
  const process = store.processOf(row);
  const control = store.control && process?.control === true && process.state === 'live';
  const facts = [row.target, store.processes.length > 1 ? process?.name : null].filter(
    (fact) => fact !== null && fact !== undefined && fact !== nameOf(row),
  );
  useEffect(() => heading.current?.focus({ preventScroll: true }), [row.id]);
  return (
    <section class="detail" aria-labelledby="detail-title">
      <div class="detail-head">
        <button
          type="button"
          class="button icon back"
          onClick={onClose}
          aria-label="Back to all pipelines"
        >
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d="M10 3 5 8l5 5" class="stroke" />
          </svg>
        </button>
        <div class="detail-name">
          <h2 id="detail-title" ref={heading} tabIndex={-1}>
            {nameOf(row)}
          </h2>
          {facts.length > 0 && <span class="sub">{facts.join(' · ')}</span>}
        </div>
        <StateBadge state={stateOf(row)} />
      </div>
      {process?.state === 'gone' && (
        <p class="notice">
          Its process is gone; this is how it was last, {span(store.at - process.seenAt)} ago.
        </p>
      )}
      {row.breakers.length > 0 && (
        <Circuits row={row} at={store.at} onOrder={control ? onOrder : undefined} />
      )}
      <Charts store={store} row={row} />
      {row.keys !== null && (
        <Keys row={row} keys={row.keys} onOrder={control ? onOrder : undefined} />
      )}
      {(row.limits.length > 0 || row.budgets.length > 0) && (
        <div class="gauges">
          {row.limits.map((limit) => (
            <Limit key={`${limit.type} ${limit.name}`} limit={limit} />
          ))}
          {row.budgets.map((budget) => (
            <Budget key={`${budget.type} ${budget.name}`} budget={budget} />
          ))}
        </div>
      )}
      <EventsPanel store={store} only={row.id} />
    </section>
  );
}

interface CircuitsProps {
  readonly row: PipelineSample;
  readonly at: number;
  readonly onOrder: DetailProps['onOrder'] | undefined;
}

function Circuits({ row, at, onOrder }: CircuitsProps): VNode {
  return (
    <ul class="circuits" aria-label="Circuit breakers">
      {row.breakers.map((breaker) => (
        <li key={breaker.index} class={`circuit state-${breaker.state}`}>
          <StateBadge state={breaker.state} />
          <span class="circuit-name">
            <b>{breaker.name}</b>
            <span class="sub">{circuitFacts(breaker, at)}</span>
          </span>
          {onOrder !== undefined && <Orders row={row} breaker={breaker} onOrder={onOrder} />}
        </li>
      ))}
    </ul>
  );
}

function circuitFacts({ since, openings, nextProbeAt }: BreakerSample, at: number): string {
  const facts = [`for ${span(at - since)}`];
  if (openings > 1) facts.push(`opened ${openings} times in a row`);
  if (nextProbeAt !== null) facts.push(`next probe in ${span(nextProbeAt - at)}`);
  return facts.join(' · ');
}

interface OrdersProps {
  readonly row: PipelineSample;
  readonly breaker: BreakerSample;
  readonly onOrder: DetailProps['onOrder'];
}

function Orders({ row, breaker, onOrder }: OrdersProps): VNode {
  return (
    <span class="orders">
      <button
        type="button"
        class="button small"
        disabled={breaker.state === 'isolated'}
        onClick={() => onOrder({ row, breaker, action: 'isolate' })}
        aria-label={`Isolate circuit ${breaker.name}`}
      >
        Isolate
      </button>
      <button
        type="button"
        class="button small"
        disabled={breaker.state === 'closed'}
        onClick={() => onOrder({ row, breaker, action: 'reset' })}
        aria-label={`Reset circuit ${breaker.name}`}
      >
        Reset
      </button>
    </span>
  );
}

function Charts({ store, row }: { readonly store: Store; readonly row: PipelineOfProcess }): VNode {
  const { times, series } = useHistory(store, row);
  const limits = useMemo(() => nearLimits(series), [series]);
  const lines = useMemo(
    () => ({
      rates: [
        { label: 'ok', colour: 'good-line', filled: true, values: series.succeeded },
        { label: 'failed', colour: 'bad-line', values: series.failed },
        { label: 'rejected', colour: 'warn-line', values: series.rejected },
        { label: 'retries', colour: 'hold-line', dashed: true, values: series.retried },
      ],
      latencies: [
        { label: 'p50', colour: 'good-line', values: series.p50 },
        { label: 'p95', colour: 'warn-line', values: series.p95 },
        { label: 'p99', colour: 'bad-line', values: series.p99 },
      ],
      load: [
        { label: 'in flight', colour: 'good-line', filled: true, values: series.inFlight },
        { label: 'waiting', colour: 'warn-line', values: series.waiting },
        ...(limits === undefined
          ? []
          : [{ label: 'limit', colour: 'hold-line', dashed: true, values: limits }]),
      ],
    }),
    [series, limits],
  );
  return (
    <div class="charts">
      <Chart
        title="Calls per second"
        times={times}
        lines={lines.rates}
        format={rate}
        states={row.kind === 'keyed' ? undefined : series.state}
      />
      <Chart title="Latency" times={times} lines={lines.latencies} format={duration} />
      <Chart title="Load" times={times} lines={lines.load} format={count} whole />
    </div>
  );
}

/** The limit, where calls come near it: far above them it would press them flat. */
function nearLimits({ limit, inFlight, waiting }: ShownHistory['series']) {
  const most = Math.max(0, ...inFlight.map((value, index) => (value ?? 0) + (waiting[index] ?? 0)));
  const near = limit.map((value) => (value !== null && value <= most * 4 ? value : null));
  return near.some((value) => value !== null) ? near : undefined;
}

interface KeysProps {
  readonly row: PipelineSample;
  readonly keys: NonNullable<PipelineSample['keys']>;
  readonly onOrder: DetailProps['onOrder'] | undefined;
}

function Keys({ keys, onOrder }: KeysProps): VNode {
  return (
    <section class="keys" aria-label="Keys">
      <div class="section-head">
        <h3>Keys</h3>
        <span class="sub">
          {keys.shown.length} of {count(keys.known)}: in trouble, then the most active
        </span>
      </div>
      <div class="table-wrap">
        <table>
          <thead>
            <tr>
              <th scope="col">Key</th>
              <th scope="col">Circuit</th>
              <th scope="col" class="number">
                Calls
              </th>
              <th scope="col" class="number">
                Failed
              </th>
              <th scope="col" class="number">
                p95
              </th>
              {onOrder !== undefined && <th scope="col">Do</th>}
            </tr>
          </thead>
          <tbody>
            {keys.shown.map((key) => (
              <tr key={key.id}>
                <th scope="row">{key.key}</th>
                <td>
                  <StateBadge state={stateOf(key)} />
                </td>
                <td class="number">
                  {rate(key.rates.succeeded + key.rates.failed + key.rates.rejected)}/s
                </td>
                <td class="number">{rate(key.rates.failed)}/s</td>
                <td class="number">{duration(key.latency?.p95)}</td>
                {onOrder !== undefined && (
                  <td>
                    {key.breakers.map((breaker) => (
                      <Orders key={breaker.index} row={key} breaker={breaker} onOrder={onOrder} />
                    ))}
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Limit({ limit }: { readonly limit: LimitSample }): VNode {
  const { type, name, running, waiting, maxWaiting, rejectionRatio } = limit;
  return (
    <div class="gauge">
      <h3>
        {spaced(type)} <span class="sub">{name === type ? '' : name}</span>
      </h3>
      {running !== null && <Bar label="in flight" value={running} most={limit.limit} />}
      {running === null && limit.limit !== null && (
        <p class="fact">
          <b>{count(limit.limit)}</b> may start now
        </p>
      )}
      {waiting !== null && (maxWaiting ?? 0) > 0 && (
        <Bar label="waiting" value={waiting} most={maxWaiting} />
      )}
      {rejectionRatio !== null && (
        <p class="fact">
          refuses <b>{percent(rejectionRatio)}</b> of calls
        </p>
      )}
    </div>
  );
}

function Budget({ budget }: { readonly budget: BudgetSample }): VNode {
  return (
    <div class="gauge">
      <h3>
        {spaced(budget.type)} <span class="sub">{budget.name}</span>
      </h3>
      <p class="fact">
        <b>{budget.left < 100 ? budget.left.toFixed(1) : count(budget.left)}</b> left
        {budget.refused > 0 && <span class="warn"> · {count(budget.refused)} refused</span>}
      </p>
    </div>
  );
}

interface BarProps {
  readonly label: string;
  readonly value: number;
  readonly most: number | null;
}

function Bar({ label, value, most }: BarProps): VNode {
  const share = most === null || most === 0 ? 0 : Math.min(1, value / most);
  return (
    <div class="bar-line">
      <span>{label}</span>
      {/* biome-ignore lint/a11y/useSemanticElements: a meter can't be drawn as the rest is */}
      <span
        class={`bar${share >= 1 ? ' full' : share >= 0.8 ? ' high' : ''}`}
        role="meter"
        aria-label={label}
        aria-valuenow={value}
        aria-valuemin={0}
        aria-valuemax={most ?? value}
      >
        <i class="bar-fill" style={{ transform: `scaleX(${share})` }} />
      </span>
      <span class="number">
        {count(value)} of {most === null ? '∞' : count(most)}
      </span>
    </div>
  );
}
