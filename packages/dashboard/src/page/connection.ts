/** Follows the stream, and connects again when it is lost. */
import { systemClock } from '@resil/core';
import type { DashboardSample, DashboardSnapshot, RecentCalls } from '../protocol.js';
import { protocolVersion } from '../protocol.js';
import type { Store } from './store.js';

/** Milliseconds until the next try, where the browser doesn't try by itself. */
const RETRY_DELAY = 3_000;

/** Milliseconds for which a page that is out of sight stays connected: a browser has few connections to a server. */
const HIDDEN_TIMEOUT = 30_000;

/** Feeds `store` from now on, as long as the page can be seen. */
export function follow(store: Store): void {
  let end = connect(store);
  let connected = true;
  let cancel = (): void => {};
  document.addEventListener('visibilitychange', () => {
    cancel();
    if (document.hidden) {
      cancel = systemClock.schedule(() => {
        connected = false;
        end();
      }, HIDDEN_TIMEOUT);
    } else if (!connected) {
      connected = true;
      end = connect(store);
    }
  });
}

/** Connects, and goes on trying; the result ends it. */
function connect(store: Store): () => void {
  const stream = new EventSource('events');
  let end = (): void => stream.close();
  let ended = false;
  stream.addEventListener('snapshot', (event) => {
    const snapshot = JSON.parse(event.data) as DashboardSnapshot;
    if (snapshot.protocol !== protocolVersion) {
      // The process was updated under the page.
      location.reload();
      return;
    }
    store.begin(snapshot);
    fill(store);
  });
  stream.addEventListener('sample', (event) => {
    store.apply(JSON.parse(event.data) as DashboardSample);
  });
  stream.addEventListener('end', () => lost(store, 'the process is ending'));
  stream.addEventListener('error', () => {
    if (stream.readyState !== EventSource.CLOSED) {
      lost(store, 'the connection is lost');
      return;
    }
    // Refused: the browser gives up, and does not tell why.
    explain().then((reason) => {
      if (ended) return;
      lost(store, reason);
      end = systemClock.schedule(() => {
        end = connect(store);
      }, RETRY_DELAY);
    });
  });
  return () => {
    ended = true;
    end();
  };
}

/** Fetches what was before; without it the page begins with nothing, and goes on as well. */
async function fill(store: Store): Promise<void> {
  const { epoch } = store;
  try {
    const answer = await fetch('recent');
    const recent = (await answer.json()) as RecentCalls;
    if (answer.ok && epoch === store.epoch) store.fill(recent);
  } catch {
    // The stream tells that the connection is lost.
  }
}

function lost(store: Store, reason: string): void {
  store.connected({ kind: 'lost', reason });
}

async function explain(): Promise<string> {
  try {
    const aborter = new AbortController();
    const answer = await fetch('events', { signal: aborter.signal });
    if (answer.ok) {
      aborter.abort();
      return 'the connection is lost';
    }
    const { detail } = (await answer.json()) as { detail?: unknown };
    return typeof detail === 'string' ? detail : `the server answers ${answer.status}`;
  } catch {
    return 'the server does not answer';
  }
}
