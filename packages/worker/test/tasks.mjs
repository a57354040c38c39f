// What the tests let threads do, one function per kind of task.

import { pbkdf2Sync } from 'node:crypto';
import { isMainThread, threadId, workerData } from 'node:worker_threads';
import { transfer } from '@resil/worker';

let last;

const kinds = {
  echo: ({ value }) => value,
  where: () => ({ threadId, isMainThread }),
  workerData: () => workerData,
  /** Counts as long as it lives. */
  loop: ({ counter }) => {
    for (;;) Atomics.add(counter, 0, 1);
  },
  /** Says that it has begun, and lasts until it is let go. */
  hold: ({ gate }) => {
    Atomics.add(gate, 0, 1);
    Atomics.wait(gate, 1, 0);
    return threadId;
  },
  /** Native code, which cannot be interrupted. */
  native: ({ counter, rounds }) => {
    Atomics.add(counter, 0, 1);
    pbkdf2Sync('secret', 'salt', rounds, 64, 'sha512');
  },
  spin: ({ rounds }) => {
    let sum = 0;
    for (let round = 0; round < rounds; round++) sum = (sum * 31 + round) % 1_000_003;
    return sum;
  },
  exit: ({ code }) => process.exit(code),
  uncaught: () => {
    setTimeout(() => {
      throw new Error('nobody caught this');
    });
    return new Promise(() => {});
  },
  rejection: () => {
    void Promise.reject(new Error('nobody awaited this'));
    return new Promise(() => {});
  },
  memory: () => {
    const kept = [];
    for (;;) kept.push(new Array(1_000).fill(kept.length));
  },
  fail: () => {
    class PriceError extends Error {
      name = 'PriceError';
    }
    throw Object.assign(new PriceError('no price'), { code: 'E_PRICE', status: 422, inner: {} });
  },
  failWith: ({ value }) => {
    throw value;
  },
  failUncopied: () => {
    throw Object.assign(new Error('holds a function', { cause: () => {} }), { code: 'E_HELD' });
  },
  uncopied: () => () => {},
  size: ({ bytes }) => bytes.byteLength,
  make: ({ length }) => {
    last = new Uint8Array(length).fill(7);
    return transfer(last, [last.buffer]);
  },
  leftOfLast: () => last.byteLength,
};

export default function work(task) {
  return kinds[task.kind](task);
}

export const double = async (value) => 2 * value;
