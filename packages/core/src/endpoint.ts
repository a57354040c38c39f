/**
 * Endpoints: the places where a failover can send a call, as users name them, as calls see them and
 * as tools read them.
 */
import {
  anyRule,
  checkOptions,
  countRule,
  InvalidOptionError,
  nameRule,
  type OptionRules,
} from './validate.js';

/** One of the places that a call can go to, as the call sees it. Shared by all calls. */
export interface Endpoint<Target = unknown> {
  /** Name in events and errors. */
  readonly name: string;
  /** What stands for the place: a base URL, a pool, a client. */
  readonly target: Target;
}

/** One of the places that a call can go to, as it is given to a failover. */
export interface EndpointOptions<Target> {
  /** What stands for the place: a base URL, a pool, a client. */
  readonly target: Target;
  /** Name in events and errors. Default: the target if that is a string, else `endpoint 1` and so on. */
  readonly name?: string | undefined;
  /**
   * Group of the endpoint: a call goes to the lowest group that has an endpoint to offer.
   *
   * A whole number of at least 0. Default: 0.
   */
  readonly priority?: number | undefined;
  /** Share of the group's calls relative to the others of the group, above 0. Default: 1. */
  readonly weight?: number | undefined;
}

/** An endpoint with the defaults filled in. */
export interface ResolvedEndpoint<Target> extends Endpoint<Target> {
  readonly priority: number;
  readonly weight: number;
}

const rules: OptionRules<EndpointOptions<unknown>> = {
  target: anyRule,
  name: nameRule,
  priority: countRule(0),
  weight: {
    test: (value) => typeof value === 'number' && value > 0 && value < Infinity,
    text: 'a number above 0',
  },
};

/**
 * Checks the endpoints and fills in the defaults.
 *
 * @throws {@link InvalidOptionError}
 */
export function resolveEndpoints<Target>(
  inputs: readonly ((Target & string) | EndpointOptions<Target>)[],
): readonly ResolvedEndpoint<Target>[] {
  if (!Array.isArray(inputs) || inputs.length === 0) {
    throw new InvalidOptionError(
      'failover.endpoints',
      inputs,
      'must be a list of at least one endpoint',
    );
  }
  const names = new Set<string>();
  return inputs.map((input: unknown, index) => {
    const where = `failover.endpoints[${index}]`;
    const endpoint = resolveEndpoint<Target>(input, index, where);
    if (names.has(endpoint.name)) {
      throw new InvalidOptionError(
        `${where}.name`,
        endpoint.name,
        'must not be that of another endpoint',
      );
    }
    names.add(endpoint.name);
    return endpoint;
  });
}

function resolveEndpoint<Target>(
  input: unknown,
  index: number,
  where: string,
): ResolvedEndpoint<Target> {
  const options = (
    typeof input === 'string' ? { target: input } : input
  ) as EndpointOptions<Target>;
  if (typeof options !== 'object' || options === null || !('target' in options)) {
    throw new InvalidOptionError(where, input, 'must be a string, or an object with a target');
  }
  checkOptions(where, options, rules);
  const { target, priority = 0, weight = 1 } = options;
  const name = options.name ?? (typeof target === 'string' ? target : `endpoint ${index + 1}`);
  return Object.freeze({ name, target, priority, weight });
}

/** An endpoint at this moment, for tools and tests. */
export interface EndpointStatus {
  readonly name: string;
  readonly priority: number;
  readonly weight: number;
  /** `ejected` as an outlier; `unhealthy` by its health check. */
  readonly state: 'available' | 'ejected' | 'unhealthy';
  /** Calls that run against it. */
  readonly running: number;
  /** Times in a row that it was ejected; one less for each sweep in which it was not. */
  readonly ejections: number;
}
