/**
 * Deadlines of gRPC are in wall time, those of a pipeline on its clock's scale. Both are needed: the
 * pipeline must not wait beyond what the caller gave, and the server must hear what is left.
 */
import type { Deadline, InterceptorOptions } from '@grpc/grpc-js';
import { type Clock, InvalidOptionError, systemClock } from '@resil/core';

/** The earliest deadline that grpc-js knows of: the caller's, and that of the server's call it is made for; in wall time. */
export function hostDeadline(options: InterceptorOptions): number {
  const own = options.deadline === undefined ? Infinity : wallTime(options.deadline);
  if (Number.isNaN(own)) {
    throw new InvalidOptionError('deadline', options.deadline, 'must be a Date or a number');
  }
  // Unless the call says that it is not to be propagated (grpc.propagate.DEADLINE is 1).
  const flags = options.propagate_flags ?? PROPAGATE_DEADLINE;
  if (options.parent === undefined || (flags & PROPAGATE_DEADLINE) === 0) return own;
  return Math.min(own, wallTime(options.parent.getDeadline()));
}

const PROPAGATE_DEADLINE = 1;

/** A time on the clock's scale, from wall time. */
export function toClock(clock: Clock, wall: number): number {
  return wall === Infinity ? Infinity : clock.now() + (wall - epoch());
}

/** Wall time, from a time on the clock's scale. */
export function toWall(clock: Clock, time: number): number {
  return time === Infinity ? Infinity : epoch() + (time - clock.now());
}

/** grpc-js lives in wall time, whatever clock the pipeline has. */
const epoch = (): number => systemClock.epoch?.() ?? 0;

function wallTime(deadline: Deadline): number {
  return typeof deadline === 'number' ? deadline : deadline.getTime();
}
