/** Processes that report to this dashboard: live, gone when they fall silent, dropped some time later. */
import type { Clock } from '@resil/core';
import { type Board, ownIdOf } from './board.js';
import type { ResolvedReportsOptions } from './options.js';
import type { ControlRequest, ProcessReport, ReportAnswer } from './protocol.js';

/** Orders that wait for a process's next report at most. */
const MAX_COMMANDS = 20;

interface Peer {
  readonly id: string;
  heardAt: number;
  interval: number;
  gone: boolean;
  control: boolean;
  name: string;
  commands: ControlRequest[];
}

/** What they need of who they belong to. */
export interface PeersSurroundings {
  readonly board: Board;
  readonly clock: Clock;
  /** Whether somebody looks. */
  watched(): boolean;
  /** Milliseconds since 1970. */
  epoch(): number;
}

/** The processes that report. */
export class Peers {
  readonly #options: ResolvedReportsOptions;
  readonly #surroundings: PeersSurroundings;
  /** By what each chose to be told apart by. */
  readonly #peers = new Map<string, Peer>();
  #nextId = 1;

  constructor(options: ResolvedReportsOptions, surroundings: PeersSurroundings) {
    this.#options = options;
    this.#surroundings = surroundings;
  }

  /** Takes a report in; `undefined` if there are as many processes as may be. */
  accept(report: ProcessReport): ReportAnswer | undefined {
    const { board, clock, watched, epoch } = this.#surroundings;
    const peer = this.#peers.get(report.instance) ?? this.#add(report.instance);
    if (peer === undefined) return undefined;
    const { name, pid, control, hidden, ending } = report;
    Object.assign(peer, { name, control, interval: report.interval, gone: ending });
    peer.heardAt = clock.now();
    const state = ending ? 'gone' : 'live';
    const info = { id: peer.id, name, pid, state, seenAt: epoch(), control, hidden } as const;
    board.update(info, report, epoch());
    const { commands } = peer;
    peer.commands = [];
    return { watched: watched(), commands: control ? commands : [] };
  }

  /** Keeps an order for the process's next report; gives why not, if it can't. */
  command(process: string, request: ControlRequest): { name: string } | { refused: string } {
    const peer = [...this.#peers.values()].find(({ id }) => id === process);
    if (peer === undefined) return { refused: 'the process is no longer known' };
    if (peer.gone) return { refused: `'${peer.name}' is gone` };
    if (!peer.control)
      return { refused: `'${peer.name}' takes no orders: it reports without control` };
    if (peer.commands.length >= MAX_COMMANDS)
      return { refused: `${MAX_COMMANDS} orders to '${peer.name}' are waiting already` };
    peer.commands.push({ ...request, pipeline: ownIdOf(request.pipeline) });
    return { name: peer.name };
  }

  /** Looks who has been silent for too long. */
  sweep(): void {
    const { board, clock } = this.#surroundings;
    const now = clock.now();
    for (const [instance, peer] of this.#peers) {
      const silent = now - peer.heardAt;
      if (!peer.gone && silent >= peer.interval + this.#options.goneTimeout) {
        peer.gone = true;
        peer.heardAt = now;
        board.markGone(peer.id);
      } else if (peer.gone && silent >= this.#options.dropTimeout) {
        this.#peers.delete(instance);
        board.drop(peer.id);
      }
    }
  }

  #add(instance: string): Peer | undefined {
    if (this.#peers.size >= this.#options.maxProcesses) return undefined;
    const id = `p${this.#nextId++}`;
    const peer: Peer = {
      id,
      heardAt: 0,
      interval: 0,
      gone: false,
      control: false,
      name: '',
      commands: [],
    };
    this.#peers.set(instance, peer);
    return peer;
  }
}
