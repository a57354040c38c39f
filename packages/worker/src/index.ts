// The pool

// Errors
export { WorkerCrashedError, WorkerPoolClosedError } from './errors.js';
export {
  type Task,
  type ThreadOptions,
  type WorkerPoolOptions,
  workerPoolDefaults,
} from './options.js';
// Inside the thread
export { transfer } from './transfer.js';
export {
  type CloseOptions,
  type TaskOptions,
  WorkerPool,
  type WorkerRunOptions,
  workerPool,
} from './worker-pool.js';
