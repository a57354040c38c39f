/** The state of a circuit: a shape, a colour and a word, so that none of them is needed alone. */
import type { VNode } from 'preact';
import { type ShownState, stateWords } from './words.js';

const shapes: { readonly [state in ShownState]: string } = {
  closed: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z',
  'half-open': 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 2v8a4 4 0 0 1 0-8z',
  open: 'M3.2 2 8 6.8 12.8 2 14 3.2 9.2 8l4.8 4.8-1.2 1.2L8 9.2 3.2 14 2 12.8 6.8 8 2 3.2z',
  isolated: 'M3 2h4v12H3zm6 0h4v12H9z',
  none: 'M2 7h12v2H2z',
};

export function StateBadge({ state }: { readonly state: ShownState }): VNode {
  return (
    <span class={`badge state-${state}`}>
      <svg viewBox="0 0 16 16" width="10" height="10" aria-hidden="true">
        <path d={shapes[state]} fill-rule="evenodd" />
      </svg>
      {stateWords[state]}
    </span>
  );
}
