/** What a channel has to be told, because no interceptor can do it from above. */
import type { ChannelOptions } from '@grpc/grpc-js';
import { checkOptions, durationRule, type OptionRules, positiveDurationRule } from '@resil/core';

/** Options of {@link channelOptions}. */
export interface ChannelSettings {
  /**
   * Milliseconds without a sign of the server after which it is asked for one, while calls are running.
   *
   * A server that is gone without a word is noticed after `keepaliveInterval` + `keepaliveTimeout` at
   * the latest, and the connection replaced. Servers may refuse to be asked so often (grpc-go by
   * default more often than every 300,000); grpc-js then asks less often by itself.
   *
   * @defaultValue `channelDefaults.keepaliveInterval` (30,000)
   */
  readonly keepaliveInterval?: number | undefined;
  /** Milliseconds that the server has to answer that. @defaultValue `channelDefaults.keepaliveTimeout` (5,000) */
  readonly keepaliveTimeout?: number | undefined;
  /**
   * Milliseconds before the first try to connect again. Calls that come before fail at once, so it
   * decides how long a restarted server goes unnoticed; gRPC's own default is 1,000.
   *
   * @defaultValue `channelDefaults.baseReconnectDelay` (100)
   */
  readonly baseReconnectDelay?: number | undefined;
  /**
   * Longest delay between tries to connect, which grow by 1.6; gRPC's own default is 120,000.
   *
   * At least `baseReconnectDelay`.
   *
   * @defaultValue `channelDefaults.maxReconnectDelay` (5,000)
   */
  readonly maxReconnectDelay?: number | undefined;
}

/** Defaults of {@link channelOptions}. */
export const channelDefaults: {
  readonly keepaliveInterval: number;
  readonly keepaliveTimeout: number;
  readonly baseReconnectDelay: number;
  readonly maxReconnectDelay: number;
} = Object.freeze({
  keepaliveInterval: 30_000,
  keepaliveTimeout: 5_000,
  baseReconnectDelay: 100,
  maxReconnectDelay: 5_000,
});

const rules: OptionRules<ChannelSettings> = {
  keepaliveInterval: positiveDurationRule(),
  keepaliveTimeout: positiveDurationRule(),
  baseReconnectDelay: positiveDurationRule(),
  maxReconnectDelay: positiveDurationRule(),
};

/**
 * Channel options for a guarded client: no retries of gRPC's own underneath (four of its attempts in
 * three of ours are twelve), none that a service config from DNS could bring, a keepalive that finds
 * and replaces connections whose peer is silent, and a reconnect that doesn't sleep through a restart.
 *
 * @throws `InvalidOptionError`
 * @example
 * ```ts
 * import { channelOptions } from '@resil/grpc';
 *
 * const options = { ...channelOptions({ keepaliveInterval: 10_000 }), 'grpc.max_receive_message_length': 1_000_000 };
 * ```
 */
export function channelOptions(settings: ChannelSettings = {}): ChannelOptions {
  checkOptions('channelOptions', settings, rules);
  const { keepaliveInterval, keepaliveTimeout, baseReconnectDelay } = channelDefaults;
  const base = settings.baseReconnectDelay ?? baseReconnectDelay;
  const max = settings.maxReconnectDelay ?? Math.max(channelDefaults.maxReconnectDelay, base);
  checkOptions(
    'channelOptions',
    { maxReconnectDelay: max },
    { maxReconnectDelay: durationRule(base) },
  );
  return {
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.keepalive_time_ms': settings.keepaliveInterval ?? keepaliveInterval,
    'grpc.keepalive_timeout_ms': settings.keepaliveTimeout ?? keepaliveTimeout,
    'grpc.initial_reconnect_backoff_ms': base,
    'grpc.max_reconnect_backoff_ms': max,
  };
}
