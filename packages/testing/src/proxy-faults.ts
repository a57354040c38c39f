/**
 * What a fault proxy can do to the bytes that pass through it. Faults are plain data: a set of them
 * replaces the one before, for connections that are open as well as for new ones.
 */
import {
  checkOptions,
  countRule,
  durationRule,
  type OptionRule,
  type OptionRules,
  objectRule,
  oneOfRule,
} from '@resil/core';

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
  readonly by?: Exclude<ProxyMode, 'forward' | 'refuse'> | undefined;
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
  readonly by: NonNullable<ProxyCut['by']>;
}

/** Faults with every field filled in. */
export interface ResolvedFaults {
  readonly mode: ProxyMode;
  readonly request: ResolvedFlow;
  readonly response: ResolvedFlow;
  readonly cut: ResolvedCut | undefined;
}

const rateRule: OptionRule = {
  test: (value) => typeof value === 'number' && value > 0,
  text: 'a number above 0, or Infinity',
};
const patternRule: OptionRule = {
  test: (value) => (typeof value === 'string' || value instanceof Uint8Array) && value.length > 0,
  text: 'a string or bytes, at least one',
};

const flowModeRule = oneOfRule('forward', 'black-hole', 'stall');
const flowRules: OptionRules<FlowFaults> = {
  mode: flowModeRule,
  delay: durationRule(),
  jitterDelay: durationRule(),
  bytesPerSecond: rateRule,
};
const connectionRules: OptionRules<ConnectionFaults> = {
  ...flowRules,
  mode: oneOfRule('forward', 'black-hole', 'stall', 'half-open', 'reset', 'close'),
  request: objectRule('an object of faults'),
  response: objectRule('an object of faults'),
  cut: objectRule('an object that says where'),
};
const proxyRules: OptionRules<ProxyFaults> = {
  ...connectionRules,
  mode: oneOfRule('forward', 'black-hole', 'stall', 'half-open', 'reset', 'close', 'refuse'),
};
const cutRules: OptionRules<ProxyCut> = {
  direction: oneOfRule('request', 'response'),
  afterPattern: patternRule,
  afterBytes: countRule(0),
  by: oneOfRule('reset', 'close', 'half-open', 'black-hole', 'stall'),
};

/**
 * Checks faults and fills in what was left out.
 *
 * @throws InvalidOptionError when one is not what it may be.
 */
export function resolveFaults(faults: ProxyFaults, of: 'proxy' | 'connection'): ResolvedFaults {
  if (of === 'proxy') checkOptions('faults', faults, proxyRules);
  else checkOptions('faults', faults as ConnectionFaults, connectionRules);
  const mode = faults.mode ?? 'forward';
  const base: ResolvedFlow = {
    mode: mode === 'black-hole' || mode === 'stall' ? mode : 'forward',
    delay: faults.delay ?? 0,
    jitterDelay: faults.jitterDelay ?? 0,
    bytesPerSecond: faults.bytesPerSecond ?? Number.POSITIVE_INFINITY,
  };
  return {
    mode,
    request: resolveFlow('faults.request', base, faults.request ?? {}),
    response: resolveFlow('faults.response', base, faults.response ?? {}),
    cut: faults.cut && resolveCut(faults.cut),
  };
}

function resolveFlow(name: string, base: ResolvedFlow, faults: FlowFaults): ResolvedFlow {
  checkOptions(name, faults, flowRules);
  return {
    mode: faults.mode ?? base.mode,
    delay: faults.delay ?? base.delay,
    jitterDelay: faults.jitterDelay ?? base.jitterDelay,
    bytesPerSecond: faults.bytesPerSecond ?? base.bytesPerSecond,
  };
}

function resolveCut(cut: ProxyCut): ResolvedCut {
  checkOptions('faults.cut', cut, cutRules);
  const { afterPattern: pattern } = cut;
  return {
    direction: cut.direction ?? 'response',
    pattern: typeof pattern === 'string' ? Buffer.from(pattern) : pattern,
    bytes: cut.afterBytes ?? 0,
    by: cut.by ?? 'reset',
  };
}
