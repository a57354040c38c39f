/** Isolating and resetting circuits: what is asked for, and how the server answers. */
import type { BreakerSample, ControlAnswer, ControlRequest, PipelineSample } from '../protocol.js';

/** What a person is about to do. */
export interface Order {
  readonly row: PipelineSample;
  readonly breaker: BreakerSample;
  readonly action: ControlRequest['action'];
}

/** How it went. */
export interface OrderResult {
  readonly done: boolean;
  /** A sentence. */
  readonly detail: string;
  /** Whether another token may be tried. */
  readonly wrongToken: boolean;
}

export async function give({ row, breaker, action }: Order, token: string): Promise<OrderResult> {
  const request: ControlRequest = {
    pipeline: row.id,
    breaker: breaker.index,
    name: breaker.name,
    action,
  };
  try {
    const answer = await fetch('control', {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(request),
    });
    const { detail } = (await answer.json()) as ControlAnswer;
    return { done: answer.ok, detail, wrongToken: answer.status === 403 };
  } catch {
    return { done: false, detail: 'the server does not answer', wrongToken: false };
  }
}
