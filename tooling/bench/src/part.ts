/** The parts of the bench. Each runs in a process of its own, so that none profits from, or pays for, what another compiled. */
import { axiosAdapter } from './parts/axios-adapter.js';
import { composition } from './parts/composition.js';
import { deadlines } from './parts/deadlines.js';
import { failure } from './parts/failure.js';
import { grpcStreamAdapter, grpcUnaryAdapter } from './parts/grpc-adapter.js';
import { kafkajsAdapter } from './parts/kafkajs-adapter.js';
import { patterns } from './parts/patterns.js';
import { pgAdapter } from './parts/pg-adapter.js';
import { refusal } from './parts/refusal.js';
import { soak } from './parts/soak.js';
import { telemetry } from './parts/telemetry.js';
import { worker } from './parts/worker.js';
import type { PartReport } from './report.js';

/** Says what is being done. */
export type Progress = (message: string) => void;

/** A part: measures, and reports. */
export type Part = (progress: Progress) => Promise<PartReport>;

/** What `--only core` stands for. */
export const coreParts: Readonly<Record<string, Part>> = {
  composition,
  patterns,
  refusal,
  failure,
  deadlines,
  worker,
  soak,
  telemetry,
};

/** What `--only adapters` stands for. */
export const adapterParts: Readonly<Record<string, Part>> = {
  axios: axiosAdapter,
  pg: pgAdapter,
  'grpc-unary': grpcUnaryAdapter,
  'grpc-stream': grpcStreamAdapter,
  kafkajs: kafkajsAdapter,
};

/** All parts by name, in the order of the report. */
export const parts: Readonly<Record<string, Part>> = { ...coreParts, ...adapterParts };
