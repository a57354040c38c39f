// The adapter

// What must be set beneath
export { type ChannelSettings, channelDefaults, channelOptions } from './channel-options.js';
// What an outcome means
export { classify, type GrpcAttributes } from './classify.js';
export { interceptor } from './interceptor.js';
export type { GrpcMethod } from './method.js';
export {
  type CallResilience,
  type GrpcKey,
  grpcDefaults,
  type InterceptorSettings,
  type ResilientOptions,
} from './options.js';
export { resilient } from './resilient.js';
