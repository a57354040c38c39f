import { pipeline, retry, timeout } from '@resil/core';
import { describe, expect, it, vi } from 'vitest';
import {
  type FaultScriptOptions,
  faultScript,
  inject,
  type ScriptedFault,
} from './fault-script.js';
import { VirtualClock } from './virtual-clock.js';

const error = new Error('down');

describe('faultScript', () => {
  it('does to each call what the list says, in order, then lets calls through', async () => {
    const clock = new VirtualClock();
    const script = faultScript([
      inject.ok,
      inject.fail(error),
      inject.value('canned'),
      inject.delay(300),
      inject.delay(50, inject.fail(error)),
    ]);
    const target = pipeline({ clock }, script);
    const operation = vi.fn(() => 'real');
    const results: unknown[] = [];
    for (let call = 0; call < 6; call += 1) {
      const start = clock.now();
      const result = target.execute(operation).catch((thrown) => thrown);
      results.push([await clock.runUntilSettled(result), clock.now() - start]);
    }
    expect(results).toEqual([
      ['real', 0],
      [error, 0],
      ['canned', 0],
      ['real', 300],
      [error, 50],
      ['real', 0],
    ]);
    expect(operation).toHaveBeenCalledTimes(3);
    expect(script).toMatchObject({ calls: 6, remaining: 0 });
  });

  it('hang ends by the abort only, and leaves neither timer nor listener', async () => {
    const clock = new VirtualClock();
    const target = pipeline({ clock }, faultScript([inject.hang]));
    const controller = new AbortController();
    const operation = vi.fn();
    const settled = vi.fn();
    const call = target.execute(operation, { signal: controller.signal });
    call.then(settled, settled);
    await clock.advance(1e9);
    expect(settled).not.toHaveBeenCalled();
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(operation).not.toHaveBeenCalled();
    expect(clock.pending).toBe(0);
  });

  it('an abort ends a delay at once, and the operation is not run', async () => {
    const clock = new VirtualClock();
    const target = pipeline({ clock }, faultScript([inject.delay(1_000)]));
    const controller = new AbortController();
    const operation = vi.fn();
    const call = target.execute(operation, { signal: controller.signal });
    await clock.advance(500);
    controller.abort('enough');
    await expect(call).rejects.toBe('enough');
    await clock.advance(1_000);
    expect(operation).not.toHaveBeenCalled();
  });

  it('retry > faultScript: each attempt uses up one fault', async () => {
    const clock = new VirtualClock();
    const script = faultScript([inject.fail(error), inject.fail(error)]);
    const target = pipeline(
      { clock },
      retry({ maxAttempts: 3, baseDelay: 100, jitter: 'none' }),
      script,
    );
    expect(await clock.runUntilSettled(target.execute(({ attempt }) => attempt))).toBe(3);
    expect(clock.now()).toBe(100 + 200);
  });

  it('retry > timeout > faultScript: a hang counts as the dependency that does not answer', async () => {
    const clock = new VirtualClock();
    const target = pipeline(
      { clock },
      retry({ maxAttempts: 3, baseDelay: 100, jitter: 'none' }),
      timeout({ duration: 500 }),
      faultScript([inject.hang, inject.delay(600)]),
    );
    expect(await clock.runUntilSettled(target.execute(({ attempt }) => attempt))).toBe(3);
    expect(clock.now()).toBe(500 + 100 + 500 + 200);
  });

  it.each([
    ['ok', ['fault', 'real', 'real']],
    ['last', ['fault', 'fault', 'fault']],
    ['repeat', ['fault', 'fault', 'fault']],
  ] as const)("after: '%s'", async (after, expected) => {
    const target = pipeline(faultScript([inject.value('fault')], { after }));
    const results: unknown[] = [];
    for (let call = 0; call < 3; call += 1) results.push(await target.execute(() => 'real'));
    expect(results).toEqual(expected);
  });

  it.each([
    [undefined, {}, 'faultScript: faults must be a list of faults, but got undefined'],
    [
      [inject.ok, error],
      {},
      'faultScript: faults[1] must be a fault made by inject, but got an object of Error',
    ],
    [
      [{ kind: 'delay', delay: 1, next: 3 }],
      {},
      'faultScript: faults[0].next must be a fault made by inject, but got 3',
    ],
    [
      [],
      { after: 'never' },
      "faultScript.after must be one of 'ok', 'last', 'repeat', but got 'never'",
    ],
    [
      [],
      { afterwards: 'ok' },
      'faultScript.afterwards is not an option; known are after, name, but got',
    ],
  ])('refuses %o, %o', (faults, options, message) => {
    expect(() => faultScript(faults as ScriptedFault[], options as FaultScriptOptions)).toThrow(
      message,
    );
  });

  it('refuses a bad delay', () => {
    expect(() => inject.delay(-1)).toThrow(
      'inject.delay must be a number of milliseconds of at least 0, but got -1',
    );
  });
});
