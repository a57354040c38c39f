/** Which servers a call may run on, in libpq's words, and what is known of the part a server plays. */
import { ResilienceError } from '@resil/core';

/**
 * Which servers a call may run on, as `target_session_attrs` of libpq: `any`; `read-write` and
 * `read-only` by whether a session takes writes; `primary` and `standby` by whether the server is in
 * recovery; `prefer-standby` for a standby if there is one, else any.
 *
 * @see https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS
 */
export type TargetSessionAttrs =
  | 'any'
  | 'read-write'
  | 'read-only'
  | 'primary'
  | 'standby'
  | 'prefer-standby';

/** All of them, for checking options. */
export const TARGET_SESSION_ATTRS: readonly TargetSessionAttrs[] = [
  'any',
  'read-write',
  'read-only',
  'primary',
  'standby',
  'prefer-standby',
];

/** The part that a server plays, as a session of it said. */
export interface ServerRole {
  /** Whether it is in recovery. */
  readonly standby: boolean;
  /** Whether its sessions refuse writes. */
  readonly readOnly: boolean;
  /** When it was asked, on the clock's scale. */
  readonly at: number;
}

/** Whether a server is what a call is looking for first. */
export function matches(role: ServerRole, target: TargetSessionAttrs): boolean {
  switch (target) {
    case 'any':
      return true;
    case 'read-write':
      return !role.readOnly;
    case 'read-only':
      return role.readOnly;
    case 'primary':
      return !role.standby;
    default:
      return role.standby;
  }
}

/** Whether a call may run on a server, though it may not be what it looks for first. */
export function admits(role: ServerRole, target: TargetSessionAttrs): boolean {
  return target === 'prefer-standby' || matches(role, target);
}

/** Whether only one server at a time can be what a call looks for. */
export function isForWriting(target: TargetSessionAttrs): boolean {
  return target === 'read-write' || target === 'primary';
}

/**
 * None of the servers is what the call may run on; nothing was sent. Code `RESIL_NO_SERVER`. While a
 * standby is being promoted that is so for a time: it is repeated like a server that can't be reached.
 */
export class NoServerError extends ResilienceError {
  /** What the call was looking for. */
  readonly targetSessionAttrs: TargetSessionAttrs;

  /** `known` is what is known of each server, in words. */
  constructor(name: string, target: TargetSessionAttrs, known: readonly string[]) {
    super('RESIL_NO_SERVER', `no server of '${name}' is ${wordFor(target)}: ${known.join(', ')}`, {
      strategy: name,
    });
    this.targetSessionAttrs = target;
  }
}

function wordFor(target: TargetSessionAttrs): string {
  return target === 'primary' || target === 'standby' ? `a ${target}` : target;
}
