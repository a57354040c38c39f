/** One line of the list. It is rendered anew only when what it shows has changed. */
import { Component, type ComponentChildren, type VNode } from 'preact';
import type { PipelineOfProcess } from '../protocol.js';
import { StateBadge } from './badge.js';
import { duration, percent, rate } from './format.js';
import type { Spark } from './spark.js';
import { Sparkline } from './sparkline.js';
import { nameOf, stateOf } from './words.js';

/** What a line shows. */
export interface PipelineRowProps {
  readonly row: PipelineOfProcess;
  readonly spark: Spark;
  readonly at: number;
  /** Its place in the list, from 0, and its height. */
  readonly index: number;
  readonly height: number;
  readonly selected: boolean;
  readonly focusable: boolean;
  readonly gone: boolean;
  /** Name of its process, where there are several. */
  readonly process: string | undefined;
  readonly onSelect: (id: string) => void;
}

export class PipelineRow extends Component<PipelineRowProps> {
  override shouldComponentUpdate(next: PipelineRowProps): boolean {
    const { row, spark, index, height, selected, focusable, gone, process, at } = this.props;
    return (
      next.row !== row ||
      next.spark !== spark ||
      next.index !== index ||
      next.height !== height ||
      next.selected !== selected ||
      next.focusable !== focusable ||
      next.gone !== gone ||
      next.process !== process ||
      // Only the canvas moves on, while it has anything to show.
      (next.at !== at && spark.busy)
    );
  }

  override render(): VNode {
    const { row, spark, at, index, height, selected, focusable, gone, process } = this.props;
    const { rates, latency } = row;
    const ended = rates.succeeded + rates.failed + rates.rejected;
    const bad = ended === 0 ? 0 : (rates.failed + rates.rejected) / ended;
    const sub = [process, row.keys === null ? row.key : keysWords(row.keys), row.target].filter(
      (text) => text !== null && text !== undefined && text !== nameOf(row),
    );
    return (
      // biome-ignore lint/a11y/useKeyWithClickEvents: the grid around it hears the keys
      // biome-ignore lint/a11y/useSemanticElements: a table can't leave out the lines that are out of sight
      <div
        role="row"
        id={`row-${row.id}`}
        aria-rowindex={index + 2}
        aria-selected={selected}
        tabIndex={focusable ? 0 : -1}
        class={`row${selected ? ' selected' : ''}${gone ? ' gone' : ''}`}
        style={{ transform: `translateY(${index * height}px)`, height: `${height}px` }}
        onClick={() => this.props.onSelect(row.id)}
      >
        <Cell style="cell-state">
          <StateBadge state={stateOf(row)} />
        </Cell>
        <Cell style="cell-name">
          <span class="name">{nameOf(row)}</span>
          {sub.length > 0 && <span class="sub">{sub.join(' · ')}</span>}
        </Cell>
        <Cell style="cell-spark">
          <Sparkline spark={spark} at={at} />
        </Cell>
        <Cell style="number">
          {rate(ended + rates.aborted)}
          <span class="unit">/s</span>
        </Cell>
        <Cell style={`number cell-bad${bad > 0 ? ' bad' : ''}`}>{percent(bad)}</Cell>
        <Cell style="number cell-latency">{duration(latency?.p95)}</Cell>
        <Cell style="number cell-flight">
          {row.inFlight}
          {row.waiting > 0 && <span class="waiting"> +{row.waiting}</span>}
        </Cell>
      </div>
    );
  }
}

/** How many keys there are, and how many of them are in trouble, as far as they are shown. */
function keysWords({ known, shown }: NonNullable<PipelineOfProcess['keys']>): string {
  const troubled = shown.filter(({ state }) => state !== null && state !== 'closed').length;
  return troubled === 0 ? `${known} keys` : `${known} keys, ${troubled} in trouble`;
}

function Cell(props: { readonly style: string; readonly children: ComponentChildren }): VNode {
  return (
    // biome-ignore lint/a11y/useSemanticElements: no table, as above
    // biome-ignore lint/a11y/useFocusableInteractive: lines are gone through, not cells
    <div role="gridcell" class={props.style}>
      {props.children}
    </div>
  );
}
