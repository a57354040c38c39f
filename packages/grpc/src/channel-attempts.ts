/**
 * How often a channel itself may send a call: by the retry or hedging policy of a service config, which
 * grpc-js follows unless it is told not to, with at most five attempts by default (gRFC A6).
 */
import type { ChannelOptions, Client } from '@grpc/grpc-js';

/** Where grpc-js caps what a policy asks for, unless it is told another. */
const MAX_ATTEMPTS = 5;

/** Attempts that the channel of a client makes of each call; `undefined` where that can't be told. */
export function channelAttempts(client: Client): number | undefined {
  const options = channelOptionsOf(client);
  if (options === undefined) return undefined;
  if (options['grpc.enable_retries'] === 0) return 1;
  const config = options['grpc.service_config'];
  if (config !== undefined) {
    const limit = options['grpc-node.retry_max_attempts_limit'] ?? MAX_ATTEMPTS;
    return attemptsOf(config, limit);
  }
  // Otherwise DNS may bring one.
  return options['grpc.service_config_disable_resolution'] === 1 ? 1 : undefined;
}

/** What a channel was made with. grpc-js keeps it in members that its types don't show. */
function channelOptionsOf(client: Client): ChannelOptions | undefined {
  const channel: unknown = client.getChannel();
  const { internalChannel } = channel as { internalChannel?: { options?: unknown } };
  const options = internalChannel?.options;
  return typeof options === 'object' && options !== null ? (options as ChannelOptions) : undefined;
}

interface Policy {
  readonly maxAttempts?: unknown;
}

function attemptsOf(json: string, limit: number): number | undefined {
  let config: { methodConfig?: unknown };
  try {
    config = JSON.parse(json);
  } catch {
    return undefined;
  }
  const methods = Array.isArray(config?.methodConfig) ? config.methodConfig : [];
  const asked = methods.flatMap((method: { retryPolicy?: Policy; hedgingPolicy?: Policy }) => {
    const attempts = (method?.retryPolicy ?? method?.hedgingPolicy)?.maxAttempts;
    return typeof attempts === 'number' && attempts >= 1 ? [Math.floor(attempts)] : [];
  });
  return Math.min(limit, Math.max(1, ...asked));
}
