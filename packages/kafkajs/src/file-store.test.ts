import { existsSync } from 'node:fs';
import {
  appendFile,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  rmdir,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { reportErrorsTo } from '@resil/core';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { fileStore } from './file-store.js';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resil-outbox-'));
  path = join(folder, 'outbox.log');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const entry = (value: string | Buffer | null, rest = {}) => ({
  topic: 't',
  message: { value, ...rest },
});
async function opened() {
  const store = fileStore({ path });
  await store.open();
  return store;
}
/** A file is one outbox's own, which keeps its bound. */
const MAX = 100;
const valuesOf = (entries: readonly { message: { value: unknown } }[]) =>
  entries.map(({ message }) => String(message.value));

describe('fileStore', () => {
  it('keeps every part of a message, in order, over a restart', async () => {
    const store = await opened();
    const whole = entry(Buffer.from([0, 255, 10]), {
      key: 'k',
      partition: 3,
      timestamp: '17',
      headers: { a: 'text', b: Buffer.from([1, 2]), c: ['x', Buffer.from('y')] },
    });
    await store.append([whole, entry(null, { key: null })], MAX);
    await store.append([entry('three')], MAX);
    await store.close();
    const again = await opened();
    expect(await again.size()).toBe(3);
    const [first, second, third] = await again.oldest(10);
    expect({ topic: first?.topic, message: first?.message }).toEqual(whole);
    expect(second?.message).toEqual({ value: null, key: null });
    expect(third?.message).toEqual({ value: 'three' });
    await again.close();
  });

  it('forgets what is done, over a restart too', async () => {
    const store = await opened();
    await store.append(
      ['a', 'b', 'c'].map((value) => entry(value)),
      MAX,
    );
    expect(await store.remove(await store.oldest(2))).toBe(2);
    await store.append([entry('d')], MAX);
    await store.close();
    const again = await opened();
    const rest = await again.oldest(10);
    expect(valuesOf(rest)).toEqual(['c', 'd']);
    expect(await again.remove(rest)).toBe(2);
    expect(await again.remove(rest)).toBe(0);
    expect((await stat(path)).size).toBe(0);
    await again.close();
  });

  it('cuts off a torn record at every byte of it, and loses none before', async () => {
    const store = await opened();
    await store.append([entry('whole')], MAX);
    const { size } = await stat(path);
    await store.append([entry('torn off')], MAX);
    await store.close();
    const full = await readFile(path);
    for (let length = size; length < full.length; length += 1) {
      await writeFile(path, full);
      await truncate(path, length);
      const again = await opened();
      expect(valuesOf(await again.oldest(10))).toEqual(['whole']);
      await again.append([entry('next')], MAX);
      await again.close();
      const last = await opened();
      expect(valuesOf(await last.oldest(10))).toEqual(['whole', 'next']);
      await last.close();
    }
  });

  it('keeps a group whole or not at all, whichever of its parts a power cut has lost', async () => {
    const store = await opened();
    await store.append([entry('before')], MAX);
    const { size } = await stat(path);
    await store.append(
      ['a', 'b', 'c'].map((value) => entry(value)),
      MAX,
    );
    await store.close();
    const full = await readFile(path);
    const part = 8;
    for (let from = size; from < full.length; from += part) {
      // As a page that was not written leaves it, between two that were.
      await writeFile(path, Buffer.from(full).fill(0, from, Math.min(from + part, full.length)));
      const again = await opened();
      expect(valuesOf(await again.oldest(10))).toEqual(['before']);
      await again.append([entry('next')], MAX);
      expect(valuesOf(await again.oldest(10))).toEqual(['before', 'next']);
      await again.close();
    }
    await writeFile(path, full);
    const whole = await opened();
    expect(valuesOf(await whole.oldest(10))).toEqual(['before', 'a', 'b', 'c']);
    await whole.remove(await whole.oldest(3));
    await whole.close();
    const last = await opened();
    expect(valuesOf(await last.oldest(10))).toEqual(['c']);
    await last.close();
  });

  it.each([0, 4, 8])('tells of a record that is lost from its byte %i on', async (from) => {
    const store = await opened();
    for (const value of ['one', 'two', 'three']) await store.append([entry(value)], MAX);
    await store.close();
    const data = await readFile(path);
    const size = data.readUInt32BE(0) + 8;
    data.fill(0, size + from, 2 * size);
    await writeFile(path, data);
    await expect(opened()).rejects.toMatchObject({ code: 'RESIL_OUTBOX_DAMAGED', offset: size });
    expect(await readFile(path)).toEqual(data);
  });

  it('tells of damage before the end, and changes nothing', async () => {
    const store = await opened();
    await store.append([entry('one')], MAX);
    await store.append([entry('two')], MAX);
    await store.close();
    const data = await readFile(path);
    data[12] = (data[12] ?? 0) ^ 1;
    await writeFile(path, data);
    await expect(opened()).rejects.toMatchObject({ code: 'RESIL_OUTBOX_DAMAGED', offset: 0 });
    expect(await readFile(path)).toEqual(data);
    await expect(opened()).rejects.toMatchObject({ code: 'RESIL_OUTBOX_DAMAGED' });
  });

  it('cuts off zeros that a crash of the machine left', async () => {
    const store = await opened();
    await store.append([entry('one')], MAX);
    await store.close();
    await appendFile(path, Buffer.alloc(64));
    const again = await opened();
    expect(valuesOf(await again.oldest(10))).toEqual(['one']);
    await again.close();
  });

  it('is open in one process at a time, and survives the death of that one', async () => {
    const store = await opened();
    await expect(opened()).rejects.toThrow(/must not be open already/);
    await store.close();
    await writeFile(`${path}.lock`, '4194305');
    await (await opened()).close();
  });

  it('takes over the lock of a dead process whose id has come around again', async () => {
    const store = await opened();
    const lock = await readFile(`${path}.lock`, 'utf8');
    await store.close();
    const [, began = ''] = lock.split(' ');
    // As after SIGKILL in a container: the new process has the old one's id.
    for (const left of [
      `${process.pid}`,
      `${process.pid} ${began}0`,
      `${process.ppid} ${began}0`,
    ]) {
      await writeFile(`${path}.lock`, left);
      await (await opened()).close();
    }
  });

  it('leaves the lock of another process alone, even when it is closed unopened', async () => {
    const lock = `${process.ppid}`;
    await writeFile(`${path}.lock`, lock);
    const store = fileStore({ path });
    await expect(store.open()).rejects.toThrow(new RegExp(`process ${process.ppid} has it`));
    await store.close();
    expect(await readFile(`${path}.lock`, 'utf8')).toBe(lock);
  });

  it.runIf(existsSync('/proc/self/stat'))('is open in one thread at a time', async () => {
    const store = await opened();
    // Another thread has its own modules and knows nothing of what this one holds.
    vi.resetModules();
    const other = (await import('./file-store.js')).fileStore({ path });
    await expect(other.open()).rejects.toThrow(/must not be open already/);
    await store.close();
  });

  it('stays whole when it can not be compacted', { timeout: 60_000 }, async () => {
    const reported: unknown[] = [];
    onTestFinished(reportErrorsTo((error) => reported.push(error)));
    const store = fileStore({ path, sync: false });
    await store.open();
    const large = 'x'.repeat(1_000_000);
    const pass = async (from: number, to: number) => {
      for (let i = from; i < to; i += 1) {
        await store.append([entry(`${i} ${large}`)], MAX);
        if (i > 0) expect(await store.remove(await store.oldest(1))).toBe(1);
      }
    };
    await mkdir(`${path}.new`);
    await pass(0, 20);
    expect((await stat(path)).size).toBeGreaterThan(20_000_000);
    expect(reported).toEqual([expect.objectContaining({ code: 'EISDIR' })]);
    // What an attempt has left must not get into the next one's file.
    await rmdir(`${path}.new`);
    await writeFile(`${path}.new`, 'left behind');
    await pass(20, 40);
    expect((await stat(path)).size).toBeLessThan(20_000_000);
    await store.close();
    const again = await opened();
    expect(valuesOf(await again.oldest(2))).toEqual([`39 ${large}`]);
    await again.close();
  });

  it('does not grow beyond what it holds', { timeout: 60_000 }, async () => {
    const store = fileStore({ path, sync: false });
    await store.open();
    const large = 'x'.repeat(1_000_000);
    for (let i = 0; i < 40; i += 1) {
      await store.append([entry(`${i} ${large}`)], MAX);
      if (i > 0) await store.remove(await store.oldest(1));
    }
    expect((await stat(path)).size).toBeLessThan(40_000_000);
    expect(valuesOf(await store.oldest(2))).toEqual([`39 ${large}`]);
    await store.close();
    const again = await opened();
    expect(valuesOf(await again.oldest(2))).toEqual([`39 ${large}`]);
    await again.close();
  });

  it('refuses options that can not be', () => {
    expect(() => fileStore({} as never)).toThrow(/fileStore\.path/);
    expect(() => fileStore({ path: 7 as never })).toThrow(/path.*7/);
    expect(() => fileStore({ path, sync: 1 as never })).toThrow(/sync.*1/);
  });
});
