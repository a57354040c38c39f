/** Calls for driving a guard's `enter` and `leave` by hand, without a promise. */
import type { CallOptions } from '../src/call.js';
import { type CallHost, RootCall } from '../src/call-state.js';
import type { Clock } from '../src/clock.js';
import { deadlinesOf } from '../src/deadline-wheel.js';
import { Emitter } from '../src/emitter.js';
import { isRefusal } from '../src/errors.js';
import type { Guard } from '../src/layer.js';

/** Where calls on `clock` begin. */
export function hostOn(clock: Clock): CallHost {
  const scope = {
    name: undefined,
    key: undefined,
    classify: undefined,
    emitter: new Emitter(),
    outer: undefined,
  };
  return { scope, clock, deadlines: deadlinesOf(clock) };
}

/** A call as a guard sees it once its operation has begun. */
export function startedCall(host: CallHost, options?: CallOptions): RootCall {
  const call = waitingCall(host, options);
  call.started = true;
  return call;
}

/** A call as a guard sees it before its operation has begun. */
export function waitingCall(host: CallHost, options?: CallOptions): RootCall {
  const call = new RootCall(host, () => undefined, options);
  call.walkingIn = false;
  return call;
}

/** Whether a guard that makes nobody wait refuses the call; if not, the call is in. */
export function refuses(guard: Guard, call: RootCall): boolean {
  try {
    guard.enter(call);
    return false;
  } catch (error) {
    if (isRefusal(error)) return true;
    throw error;
  }
}
