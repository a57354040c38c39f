// Dashboard
export { type Dashboard, dashboard, type FastifyLike } from './dashboard.js';
export {
  type ControlOptions,
  type DashboardOptions,
  dashboardDefaults,
  type ReportsOptions,
} from './options.js';
export { DashboardListenError, type DashboardServer } from './own-server.js';
// Protocol
export {
  type BreakerSample,
  type BudgetSample,
  type CallRates,
  type ControlAnswer,
  type ControlRequest,
  type DashboardEnd,
  type DashboardSample,
  type DashboardSnapshot,
  type EventSample,
  type HistorySeries,
  historySeries,
  type LatencySample,
  type LimitSample,
  type PipelineHistory,
  type PipelineOfProcess,
  type PipelineSample,
  type ProcessReport,
  type ProcessSample,
  protocolVersion,
  type RecentCalls,
  type ReportAnswer,
  recentSize,
} from './protocol.js';
// Reports
export { type Reporter, type ReportOptions, report, reportDefaults } from './report.js';
