/**
 * Tools for testing what happens when things go wrong: a TCP fault proxy, a virtual clock, seeded
 * chance, fault injection as a layer, an event recorder, and contract suites.
 *
 * @packageDocumentation
 */

// A proxy that breaks real connections

export type { FaultProxyOptions } from './fault-proxy.js';
export { FaultProxy, faultProxy, faultProxyDefaults } from './fault-proxy.js';
export type { ProxyConnection, ProxyTarget } from './proxy-connection.js';
export type {
  ConnectionFaults,
  FlowFaults,
  FlowMode,
  ProxyCut,
  ProxyFaults,
  ProxyMode,
} from './proxy-faults.js';

// Time and chance

export { seededRandom } from './seeded-random.js';
export type { RunOptions, VirtualClockOptions } from './virtual-clock.js';
export { VirtualClock, virtualClockDefaults } from './virtual-clock.js';

// Faults as a layer

export type {
  BehaviorShare,
  FaultInjectionOptions,
  FaultShare,
  InjectionCounts,
  InjectionShare,
  LatencyShare,
  OutcomeShare,
} from './fault-injection.js';
export { FaultInjection, faultInjection, faultInjectionDefaults } from './fault-injection.js';
export type { FaultScriptOptions, ScriptedFault } from './fault-script.js';
export { FaultScript, faultScript, faultScriptDefaults, inject } from './fault-script.js';

// Events

export type { EventOf, EventRecorder, EventSource } from './record-events.js';
export { recordEvents } from './record-events.js';

// Contract suites

export type { AdapterContract, AdapterContractOptions, AdapterFault } from './adapter-bench.js';
export { describeAdapterContract } from './adapter-contract.js';
export type { LayerContract, LayerSurroundings, LayerWait } from './layer-bench.js';
export { describeLayerContract } from './layer-contract.js';
export type { TestRunner } from './test-runner.js';
