import type { ResilienceEvent, ResilienceEventInput, ResilienceListener } from '@resil/core';
import { describe, expect, it } from 'vitest';
import { recordEvents } from './record-events.js';

class Source {
  readonly listeners = new Set<ResilienceListener>();
  readonly on = (listener: ResilienceListener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  emit(input: ResilienceEventInput): void {
    const base = { pipeline: undefined, key: undefined, name: undefined, attempt: 1, at: 0 };
    for (const listener of this.listeners) listener({ ...input, ...base } as ResilienceEvent);
  }
}

describe('recordEvents', () => {
  it('keeps events in order and finds those of a type', () => {
    const source = new Source();
    const recorder = recordEvents(source);
    source.emit({ type: 'call.started' });
    source.emit({ type: 'timeout.expired', strategy: 'timeout', duration: 500 });
    source.emit({ type: 'call.failed', duration: 500, error: 'late' });
    expect(recorder.types).toEqual(['call.started', 'timeout.expired', 'call.failed']);
    expect(recorder.of('timeout.expired').map((event) => event.duration)).toEqual([500]);
    expect(recorder.events).toHaveLength(3);
  });

  it('listens to a function such as observe', () => {
    const source = new Source();
    const recorder = recordEvents(source.on);
    source.emit({ type: 'call.started' });
    expect(recorder.types).toEqual(['call.started']);
  });

  it('clear forgets and goes on, stop keeps and ends', () => {
    const source = new Source();
    const recorder = recordEvents(source);
    source.emit({ type: 'call.started' });
    recorder.clear();
    source.emit({ type: 'call.succeeded', duration: 1 });
    recorder.stop();
    recorder.stop();
    source.emit({ type: 'call.started' });
    expect(recorder.types).toEqual(['call.succeeded']);
    expect(source.listeners.size).toBe(0);
  });

  it('refuses what cannot be listened to', () => {
    expect(() => recordEvents({} as Source)).toThrow(
      'recordEvents: source must be a pipeline or observe, but got an object of Object',
    );
  });
});
