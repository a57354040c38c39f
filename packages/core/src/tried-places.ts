/**
 * Which endpoints a call was sent to already: in all its attempts, which puts those not tried first; and
 * in one attempt, where an endpoint that did not take the call is not asked again.
 */
import type { CallState, Trail } from './call-state.js';
import { isRefusal } from './errors.js';

/** An endpoint and the group that it is in for one call. */
export interface Ranked<Place> {
  readonly place: Place;
  readonly rank: number;
}

/** Endpoints that did not take a call, in one attempt. */
export interface Passed<Place> {
  readonly place: Place;
  readonly error: unknown;
  readonly earlier: Passed<Place> | undefined;
}

/** Those of the lowest group among the least tried; `undefined` if all were passed. */
export function leastTried<Place extends object>(
  offered: readonly Ranked<Place>[],
  call: CallState,
  passed: Passed<Place> | undefined,
): Place[] | undefined {
  let best: Place[] | undefined;
  let bestTries = Infinity;
  let bestRank = Infinity;
  for (const { place, rank } of offered) {
    if (isAmong(place, passed)) continue;
    const tries = trailTo(place, call)?.tries ?? 0;
    if (tries > bestTries || (tries === bestTries && rank > bestRank)) continue;
    if (best === undefined || tries < bestTries || rank < bestRank) best = [];
    bestTries = tries;
    bestRank = rank;
    best.push(place);
  }
  return best;
}

/** The latest error of endpoints that did not take a call; what one of them said goes before our own refusals. */
export function toldOf<Place>(passed: Passed<Place>): unknown {
  for (let at: Passed<Place> | undefined = passed; at !== undefined; at = at.earlier) {
    if (!isRefusal(at.error)) return at.error;
  }
  return passed.error;
}

/** Notes that a call is sent to a place. */
export function noteTry(place: object, call: CallState): void {
  const trail = trailTo(place, call);
  if (trail === undefined) call.root.trail = { place, tries: 1, earlier: call.root.trail };
  else trail.tries++;
}

function isAmong<Place>(place: Place, passed: Passed<Place> | undefined): boolean {
  for (let at = passed; at !== undefined; at = at.earlier) {
    if (at.place === place) return true;
  }
  return false;
}

/** Where a call was sent to a place, if it was. */
function trailTo(place: object, call: CallState): Trail | undefined {
  for (let at = call.root.trail; at !== undefined; at = at.earlier) {
    if (at.place === place) return at;
  }
  return undefined;
}
