// Commands

// Maturity
export {
  type AreaAssessment,
  type Assessment,
  type AssessOptions,
  areas,
  assess,
  criteria,
  levels,
} from './assess/assess.js';
export type {
  Area,
  Criterion,
  Evidence,
  Level,
  MeasuredCriterion,
  Measurement,
} from './assess/criterion.js';
export type { ProjectFacts, ProjectFile } from './assess/project.js';
export {
  askPrometheus,
  type PrometheusFacts,
  type TelemetryFacts,
} from './assess/telemetry-facts.js';
// Bad input
export { BadInputError } from './bad-input.js';
export { exitCodes, run } from './command-line.js';
// What is seen of a service
export { type InspectOptions, inspect, inspectDefaults } from './inspect.js';
export type {
  FoundClient,
  GuardIdentity,
  InspectedDependency,
  InspectedPipeline,
  Inspection,
  PackageImport,
} from './inspection.js';
export type { CallPath, Landscape } from './landscape.js';
// Lint
export { type LintOptions, lint } from './lint/lint.js';
export type { Finding, FindingOf, Rule, Severity } from './lint/rule.js';
export { rules } from './lint/rules.js';
// Operations kit
export type { AlertOptions, AlertRule, RecordingRule, RuleFile, RuleGroup } from './ops/alerts.js';
export { type KitOptions, operationsKit, readTimeline, writeKit } from './ops/kit.js';
export type { CallCounts, CircuitOutage, Timeline, TimelineEntry } from './ops/timeline.js';
export {
  type DependencySettings,
  objectiveDefault,
  readSettings,
  type ServiceCall,
  type Settings,
} from './settings.js';
export type { Colors, Screen, Terminal } from './terminal.js';
