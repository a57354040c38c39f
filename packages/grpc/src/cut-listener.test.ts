import { Metadata, type StatusObject } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { CutListener } from './cut-listener.js';

describe('CutListener', () => {
  it('passes on what comes until the status, and holds nobody from then on', async () => {
    const heard: unknown[] = [];
    const metadata = new Metadata();
    const status: StatusObject = { code: 0, details: 'OK', metadata };
    let listener: object | undefined = {
      onReceiveMetadata: (value: Metadata) => heard.push(value),
      onReceiveMessage: (value: unknown) => heard.push(value),
      onReceiveStatus: (value: StatusObject) => heard.push(value),
    };
    const held = new WeakRef(listener);
    const cut = new CutListener(listener as never);
    cut.onReceiveMetadata(metadata);
    cut.onReceiveMessage('one');
    cut.onReceiveStatus(status);
    cut.onReceiveMessage('late');
    cut.onReceiveStatus(status);
    expect(heard).toEqual([metadata, 'one', status]);
    listener = undefined;
    const { setFlagsFromString } = await import('node:v8');
    const { runInNewContext } = await import('node:vm');
    setFlagsFromString('--expose-gc');
    // A weak reference is kept to the end of the turn in which it was made or read.
    await new Promise((resolve) => setImmediate(resolve));
    runInNewContext('gc')();
    expect(held.deref()).toBeUndefined();
    // Still reachable, as Node holds it.
    expect(() => cut.onReceiveMessage('later')).not.toThrow();
  });
});
