/** What things are called on the page. */
import type { CircuitState } from '@resil/core';
import type { EventSample, PipelineSample } from '../protocol.js';
import { duration, percent } from './format.js';

/** What a row is called. */
export function nameOf({ name, key, target }: PipelineSample): string {
  return name ?? key ?? target ?? 'unnamed pipeline';
}

/** The state of a row without a circuit. */
export type ShownState = CircuitState | 'none';

/** A row's state. */
export function stateOf({ state }: Pick<PipelineSample, 'state'>): ShownState {
  return state ?? 'none';
}

export const stateWords: { readonly [state in ShownState]: string } = {
  closed: 'closed',
  'half-open': 'half-open',
  open: 'open',
  isolated: 'isolated',
  none: 'no circuit',
};

/** What kind of thing an event is: how it is marked. */
export type EventTone = 'good' | 'bad' | 'warning' | 'plain';

const tones: { readonly [type: string]: EventTone } = {
  'circuit.opened': 'bad',
  'circuit.half-opened': 'warning',
  'circuit.closed': 'good',
  'circuit.isolated': 'warning',
  'call.failed': 'bad',
  'call.rejected': 'warning',
  'timeout.expired': 'warning',
  'retry.exhausted': 'warning',
  'budget.exhausted': 'warning',
  'bulkhead.rejected': 'warning',
  'rate-limit.rejected': 'warning',
  'limiter.rejected': 'warning',
  'throttle.rejected': 'warning',
  'endpoint.ejected': 'bad',
  'endpoint.unhealthy': 'bad',
  'endpoint.healthy': 'good',
  'endpoint.returned': 'good',
  'failover.panicked': 'bad',
  'failover.recovered': 'good',
  'message.dead-lettered': 'bad',
};

export function toneOf({ type }: EventSample): EventTone {
  return tones[type] ?? 'plain';
}

/** Whether an event is a change of how things stand, rather than one of many. */
export function isChange({ type }: EventSample): boolean {
  return /^(?:circuit|endpoint|failover|consumer)\.|limit-changed$|slowed$/.test(type);
}

/** The details of an event as one line; just some of them if `only` says so. */
export function detailsOf({ type, details }: EventSample, only?: readonly string[]): string {
  return (
    Object.entries(details)
      .filter(([name]) => only === undefined || only.includes(name))
      // How long a refusal took says nothing.
      .filter(([name]) => !(name === 'duration' && type === 'call.rejected'))
      .map(([name, value]) => {
        if (name === 'errorType' || name === 'reason') return String(value);
        if (typeof value !== 'number') return `${spaced(name)} ${value}`;
        if (/delay|duration|age/i.test(name)) return `${spaced(name)} ${duration(value)}`;
        if (/ratio/i.test(name)) return `${spaced(name)} ${percent(value)}`;
        return `${spaced(name)} ${value}`;
      })
      .join(' · ')
  );
}

/** `circuit.half-opened` as words. */
export function eventWords({ type }: EventSample): string {
  return type.replace('.', ' ').replace(/-/g, ' ');
}

/** `bulkhead` and `adaptiveLimiter` as words. */
export function spaced(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
