/** What happened, latest first. */
import type { VNode } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { type EventGroup, grouped } from './event-groups.js';
import { count, span, timeOfDay } from './format.js';
import type { Store } from './store.js';
import { detailsOf, eventWords, isChange, nameOf, toneOf } from './words.js';

/** Lines in the document to begin with, and how many more are shown at a time. */
const PAGE = 40;

/** What is listed. */
export interface EventsPanelProps {
  readonly store: Store;
  /** Just those of one pipeline. */
  readonly only?: string | undefined;
  readonly onSelect?: (id: string) => void;
}

export function EventsPanel({ store, only, onSelect }: EventsPanelProps): VNode {
  const [changes, setChanges] = useState(false);
  const [most, setMost] = useState(PAGE);
  const { events } = store;
  const groups = useMemo(
    () =>
      grouped(
        events.filter(
          (event) =>
            (only === undefined || event.pipeline === only) && (!changes || isChange(event)),
        ),
      ),
    [events, only, changes],
  );
  return (
    <section class="events" aria-label="What happened">
      <div class="section-head">
        <h3>What happened</h3>
        <label class="check">
          <input
            type="checkbox"
            checked={changes}
            onChange={(event) => setChanges(event.currentTarget.checked)}
          />
          Changes of state only
        </label>
      </div>
      {groups.length === 0 && <p class="empty">Nothing but calls that went well.</p>}
      <ol class="event-list">
        {groups.slice(0, most).map((group) => (
          <EventLine key={group.event.id} group={group} store={store} onSelect={onSelect} />
        ))}
      </ol>
      {groups.length > most && (
        <button type="button" class="button more" onClick={() => setMost(most + PAGE)}>
          Show older ones
        </button>
      )}
    </section>
  );
}

interface EventLineProps {
  readonly group: EventGroup;
  readonly store: Store;
  readonly onSelect: EventsPanelProps['onSelect'];
}

function EventLine({ group, store, onSelect }: EventLineProps): VNode {
  const { event, count: times, since } = group;
  const row = store.rows.get(event.pipeline);
  const about = [...new Set([event.strategy, event.key])].filter((text) => text !== null);
  const details = times === 1 ? detailsOf(event) : detailsOf(event, ['errorType', 'reason']);
  const lasted = event.at - since;
  return (
    <li class={`event tone-${toneOf(event)}`}>
      <time dateTime={new Date(event.at).toISOString()}>{timeOfDay(event.at)}</time>
      <span class="event-body">
        <span class="event-type">
          {eventWords(event)}
          {times > 1 && <span class="times"> ×{count(times)}</span>}
        </span>
        {onSelect !== undefined && row !== undefined && (
          <button type="button" class="link" onClick={() => onSelect(row.id)}>
            {nameOf(row)}
          </button>
        )}
        <span class="event-details">
          {[about.join(' · '), details, lasted > 0 && `in ${span(lasted)}`]
            .filter(Boolean)
            .join(' — ')}
        </span>
      </span>
    </li>
  );
}
