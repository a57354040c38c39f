/**
 * What a fault proxy can do to the bytes that pass through it. Faults are plain data: a set of them
 * replaces the one before, for connections that are open as well as for new ones.
 */
import { checkCount, checkDuration, checkNames, checkOneOf, checkRate, fail } from './validate.js';

/** What happens to one direction: it flows, its bytes are read and lost, or they are not even read. */
export type FlowMode = 'forward' | 'black-hole' | 'stall';

/**
 * What happens to a connection.
 *
 * - `forward`: bytes pass, with the delay and bandwidth that are set.
 * - `black-hole`: connections are accepted and read, nothing is passed on, nobody is told. A
 *   connection that has lost bytes stays silent when the fault is cleared: nothing sensible could
 *   follow the gap.
 * - `stall`: nothing is read, so the sender's buffers fill; everything passes when the fault is
 *   cleared.
 * - `half-open`: the server's side is closed and the client is not told. The connection stays silent
 *   for good; connections opened after the fault is cleared work.
 * - `reset`: open connections end with an RST on both sides at once; new ones are accepted and reset.
 * - `close`: open connections end with a FIN at once; new ones are accepted and closed.
 * - `refuse`: nothing listens, so a new connection gets `ECONNREFUSED`; open ones go on.
 */
export type ProxyMode = FlowMode | 'half-open' | 'reset' | 'close' | 'refuse';

/** Faults of one direction. */
export interface FlowFaults {
  /** Whether the bytes of this direction flow. Default: that of the connection. */
  readonly mode?: FlowMode | undefined;
  /** Milliseconds that every byte is held back, 0 or more. Bytes keep their order. Default: 0. */
  readonly delay?: number | undefined;
  /**
   * Milliseconds of random delay on top of `delay`, 0 or more: each chunk draws evenly from 0 to
   * this. A chunk never overtakes the one before it. Default: 0.
   */
  readonly jitterDelay?: number | undefined;
  /** Bytes per second that pass, more than 0; sent in slices of about 20 ms. Default: `Infinity`. */
  readonly bytesPerSecond?: number | undefined;
}

/** Ends or silences a connection in the middle of what it carries. */
export interface ProxyCut {
  /** Which direction is watched. Default: `'response'`, what the server sends. */
  readonly direction?: 'request' | 'response' | undefined;
  /** The bytes that must have passed (they pass too) before `afterBytes` counts. Default: none. */
  readonly afterPattern?: string | Uint8Array | undefined;
  /**
   * How many bytes still pass, 0 or more, counted from the end of the pattern or, without one, from
   * the moment the fault was set (for a new connection: from its first byte). Default: 0.
   */
  readonly afterBytes?: number | undefined;
  /** What happens then; `black-hole` and `stall` concern the watched direction. Default: `'reset'`. */
  readonly by?: 'reset' | 'close' | 'half-open' | FlowMode | undefined;
}

/** Faults of a connection; what is left out works normally. */
export interface ConnectionFaults extends Omit<FlowFaults, 'mode'> {
  /** What happens to the connection. Default: `'forward'`. */
  readonly mode?: Exclude<ProxyMode, 'refuse'> | undefined;
  /** Faults of what the client sends; each field overrides the one of the connection. */
  readonly request?: FlowFaults | undefined;
  /** Faults of what the server sends; each field overrides the one of the connection. */
  readonly response?: FlowFaults | undefined;
  /** Cuts each connection once, in the middle. */
  readonly cut?: ProxyCut | undefined;
}

/** Faults of a proxy; what is left out works normally. */
export interface ProxyFaults extends Omit<ConnectionFaults, 'mode'> {
  /** What happens to connections. Default: `'forward'`. */
  readonly mode?: ProxyMode | undefined;
}

/** One direction's faults with every field filled in. */
export interface ResolvedFlow {
  readonly mode: FlowMode;
  readonly delay: number;
  readonly jitterDelay: number;
  readonly bytesPerSecond: number;
}

/** A cut with every field filled in. */
export interface ResolvedCut {
  readonly direction: 'request' | 'response';
  readonly pattern: Uint8Array | undefined;
  readonly bytes: number;
  readonly by: Exclude<ProxyMode, 'refuse' | 'forward'>;
}

/** Faults with every field filled in. */
export interface ResolvedFaults {
  readonly mode: ProxyMode;
  readonly request: ResolvedFlow;
  readonly response: ResolvedFlow;
  readonly cut: ResolvedCut | undefined;
}

const FLOW_MODES: readonly FlowMode[] = ['forward', 'black-hole', 'stall'];
const CUTS = ['reset', 'close', 'half-open', 'black-hole', 'stall'] as const;
const CONNECTION_MODES: readonly ProxyMode[] = [...FLOW_MODES, 'half-open', 'reset', 'close'];
const PROXY_MODES: readonly ProxyMode[] = [...CONNECTION_MODES, 'refuse'];
const FLOW_NAMES = ['delay', 'jitterDelay', 'bytesPerSecond'] as const;

/** Checks faults and fills in what was left out. Throws when one is not what it may be. */
export function resolveFaults(faults: ProxyFaults, allow: 'proxy' | 'connection'): ResolvedFaults {
  checkNames('faults', faults, ['mode', 'request', 'response', 'cut', ...FLOW_NAMES]);
  const mode = faults.mode ?? 'forward';
  checkOneOf('mode', mode, allow === 'proxy' ? PROXY_MODES : CONNECTION_MODES);
  const base: ResolvedFlow = {
    mode: mode === 'black-hole' || mode === 'stall' ? mode : 'forward',
    delay: faults.delay ?? 0,
    jitterDelay: faults.jitterDelay ?? 0,
    bytesPerSecond: faults.bytesPerSecond ?? Number.POSITIVE_INFINITY,
  };
  checkFlow('', base);
  return {
    mode,
    request: resolveFlow('request', base, faults.request),
    response: resolveFlow('response', base, faults.response),
    cut: resolveCut(faults.cut),
  };
}

function resolveFlow(
  name: string,
  base: ResolvedFlow,
  faults: FlowFaults | undefined,
): ResolvedFlow {
  if (faults === undefined) return base;
  checkNames(name, faults, ['mode', ...FLOW_NAMES]);
  const flow: ResolvedFlow = {
    mode: faults.mode ?? base.mode,
    delay: faults.delay ?? base.delay,
    jitterDelay: faults.jitterDelay ?? base.jitterDelay,
    bytesPerSecond: faults.bytesPerSecond ?? base.bytesPerSecond,
  };
  checkFlow(`${name}.`, flow);
  return flow;
}

function checkFlow(prefix: string, flow: ResolvedFlow): void {
  checkOneOf(`${prefix}mode`, flow.mode, FLOW_MODES);
  checkDuration(`${prefix}delay`, flow.delay);
  checkDuration(`${prefix}jitterDelay`, flow.jitterDelay);
  checkRate(`${prefix}bytesPerSecond`, flow.bytesPerSecond);
}

function resolveCut(cut: ProxyCut | undefined): ResolvedCut | undefined {
  if (cut === undefined) return undefined;
  checkNames('cut', cut, ['direction', 'afterPattern', 'afterBytes', 'by']);
  const direction = cut.direction ?? 'response';
  const by = cut.by ?? 'reset';
  checkOneOf('cut.direction', direction, ['request', 'response']);
  checkOneOf('cut.by', by, CUTS);
  const bytes = cut.afterBytes ?? 0;
  checkCount('cut.afterBytes', bytes);
  const pattern =
    typeof cut.afterPattern === 'string' ? Buffer.from(cut.afterPattern) : cut.afterPattern;
  if (pattern !== undefined && !(pattern instanceof Uint8Array && pattern.length > 0)) {
    fail('cut.afterPattern', cut.afterPattern, 'a string or bytes, at least one');
  }
  return { direction, pattern, bytes, by: by as ResolvedCut['by'] };
}
