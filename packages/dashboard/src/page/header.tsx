/** The top of the page: what it is about, how it stands, and what is looked for. */
import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import { count } from './format.js';
import type { Store } from './store.js';
import { currentTheme, nextTheme, type Theme } from './theme.js';
import { type ShownState, stateOf, stateWords } from './words.js';

/** What a person wants to see. */
export interface Choice {
  readonly text: string;
  /** Only what is in trouble. */
  readonly trouble: boolean;
  readonly sort: 'state' | 'name' | 'calls' | 'trouble' | 'latency';
}

const sorts: { readonly [sort in Choice['sort']]: string } = {
  state: 'state',
  name: 'name',
  calls: 'calls',
  trouble: 'not ok',
  latency: 'latency',
};

const themeWords: { readonly [theme in Theme]: string } = {
  auto: 'as the system',
  light: 'light',
  dark: 'dark',
};

const themeShapes: { readonly [theme in Theme]: string } = {
  auto: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 2v8a4 4 0 0 1 0-8z',
  light:
    'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM7.3 1h1.4v2.4H7.3zm0 11.6h1.4V15H7.3zM1 7.3h2.4v1.4H1zm11.6 0H15v1.4h-2.4zM3.5 2.5l1.7 1.7-1 1-1.7-1.7zm8.3 8.3 1.7 1.7-1 1-1.7-1.7zM2.5 12.5l1.7-1.7 1 1-1.7 1.7zm8.3-8.3 1.7-1.7 1 1-1.7 1.7z',
  dark: 'M6.5 1.8A6.3 6.3 0 1 0 14.2 9.5 5.2 5.2 0 0 1 6.5 1.8z',
};

export function Header({ store }: { readonly store: Store }): VNode {
  const [theme, setTheme] = useState(currentTheme);
  return (
    <header class="top">
      <img src="icon.svg" width="28" height="28" alt="" />
      <h1>{store.title || 'resilience'}</h1>
      <Connection store={store} />
      <Summary store={store} />
      <button
        type="button"
        class="button icon theme"
        onClick={() => setTheme(nextTheme())}
        aria-label={`Colours: ${themeWords[theme]}`}
        title={`Colours: ${themeWords[theme]}`}
      >
        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
          <path d={themeShapes[theme]} fill="currentColor" fill-rule="evenodd" />
        </svg>
      </button>
    </header>
  );
}

function Connection({ store }: { readonly store: Store }): VNode {
  const { connection } = store;
  const words =
    connection.kind === 'live'
      ? 'live'
      : connection.kind === 'lost'
        ? `${connection.reason}; trying again`
        : 'connecting';
  return (
    <span class={`connection ${connection.kind}`} role="status">
      <i aria-hidden="true" />
      {words}
    </span>
  );
}

/** How many pipelines are in which state. */
function Summary({ store }: { readonly store: Store }): VNode {
  const counts = new Map<ShownState, number>();
  for (const row of store.rows.values()) {
    const state = stateOf(row);
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  const states: readonly ShownState[] = ['open', 'isolated', 'half-open', 'closed', 'none'];
  return (
    <ul class="summary" aria-label="Pipelines by state of their circuits">
      {states
        .filter((state) => counts.has(state))
        .map((state) => (
          <li key={state} class={`state-${state}`}>
            <b>{count(counts.get(state) ?? 0)}</b> {stateWords[state]}
          </li>
        ))}
    </ul>
  );
}

/** What the tools need. */
export interface ToolsProps {
  readonly store: Store;
  readonly choice: Choice;
  readonly shown: number;
  readonly onChoice: (choice: Choice) => void;
}

export function Tools({ store, choice, shown, onChoice }: ToolsProps): VNode {
  const gone = store.processes.filter(({ state }) => state === 'gone');
  return (
    <search class="tools">
      <input
        type="search"
        class="find"
        placeholder="Find a pipeline, key or target"
        aria-label="Find a pipeline, key or target"
        value={choice.text}
        onInput={(event) => onChoice({ ...choice, text: event.currentTarget.value })}
      />
      <label class="check">
        <input
          type="checkbox"
          checked={choice.trouble}
          onChange={(event) => onChoice({ ...choice, trouble: event.currentTarget.checked })}
        />
        In trouble
      </label>
      <label class="sort">
        by{' '}
        <select
          value={choice.sort}
          onChange={(event) =>
            onChoice({ ...choice, sort: event.currentTarget.value as Choice['sort'] })
          }
        >
          {Object.entries(sorts).map(([sort, words]) => (
            <option key={sort} value={sort}>
              {words}
            </option>
          ))}
        </select>
      </label>
      <span class="sub shown">
        {shown === store.rows.size ? `${shown} pipelines` : `${shown} of ${store.rows.size}`}
        {store.processes.length > 1 && ` in ${store.processes.length} processes`}
        {gone.length > 0 && (
          <span class="warn"> · gone: {gone.map(({ name }) => name).join(', ')}</span>
        )}
      </span>
    </search>
  );
}
