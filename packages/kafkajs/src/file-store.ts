/**
 * An outbox in a local file, append-only. A record is its length, its checksum (CRC-32) and its text:
 * the messages of one append, a line for each, or how many of the oldest messages are done. One write,
 * one record: after a power cut any of its pages may be missing, and it is all there or none of it is.
 * What a crash has torn off at the end is cut away when the file is opened; damage with a whole record
 * behind it is told and never passed over.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import {
  booleanRule,
  checkOptions,
  InvalidOptionError,
  nameRule,
  type OptionRules,
  ResilienceError,
  report,
} from '@resil/core';
import { lockFile } from './file-lock.js';
import { decodeMessage, encodeMessage } from './message-codec.js';
import type { Appended, OutboxStore, StoredEntry, StoredMessage } from './outbox-options.js';

/** Options of {@link fileStore}. */
export interface FileStoreOptions {
  /** The file. It is made if it is not there; its folder must be. One process may have it open. */
  readonly path: string;
  /**
   * Whether an append waits until the disk has it, so that it survives a crash of the machine and not
   * of the process alone.
   *
   * @defaultValue `fileStoreDefaults.sync` (true)
   */
  readonly sync?: boolean | undefined;
}

/** Defaults of {@link FileStoreOptions}. */
export const fileStoreDefaults: { readonly sync: boolean } = Object.freeze({ sync: true });

/** An outbox's file is damaged before its end. Code `RESIL_OUTBOX_DAMAGED`; nothing was changed. */
export class OutboxDamagedError extends ResilienceError {
  /** Where the damaged record begins, in bytes. */
  readonly offset: number;

  constructor(path: string, offset: number) {
    super(
      'RESIL_OUTBOX_DAMAGED',
      `the outbox '${path}' is damaged at byte ${offset}, before its end; repair it or move it away`,
      { strategy: 'outbox' },
    );
    this.offset = offset;
  }
}

/** Where a message's line lies in the file. */
interface Place {
  readonly id: number;
  readonly offset: number;
  readonly length: number;
}

const HEADER = 8;
/** Bytes of messages that are done, from which the file is written anew. */
const COMPACT_FROM = 16 * 1024 * 1024;
/** What the text of a record begins with. */
const DONE = '-'.charCodeAt(0);
const MESSAGE = '{'.charCodeAt(0);
/** JSON holds none of its own: it writes them as an escape. */
const LINE_END = '\n';

const rules: OptionRules<FileStoreOptions> = { path: nameRule, sync: booleanRule };

/**
 * A store in a local file, for an {@link outbox}.
 *
 * @throws InvalidOptionError
 * @example
 * ```ts
 * import { fileStore, outbox } from '@resil/kafkajs';
 *
 * const box = outbox({ store: fileStore({ path: './outbox.log' }), maxMessages: 10_000 });
 * console.log(box.size);
 * ```
 */
export function fileStore(options: FileStoreOptions): OutboxStore {
  checkOptions('fileStore', options, rules);
  if (options.path === undefined || options.path === '') {
    throw new InvalidOptionError('fileStore.path', options.path, 'must be given');
  }
  return new FileStore(options.path, options.sync ?? fileStoreDefaults.sync);
}

class FileStore implements OutboxStore {
  readonly shared = false;
  readonly #path: string;
  readonly #sync: boolean;
  #file: FileHandle | undefined;
  #unlock: (() => Promise<void>) | undefined;
  #places: Place[] = [];
  #next = 0;
  #end = 0;
  #dead = 0;
  /** Bytes that are done, from which the next compaction is tried. */
  #compactFrom = COMPACT_FROM;
  /** Whether a write has failed and what it left behind may still be there. */
  #torn = false;

  constructor(path: string, sync: boolean) {
    this.#path = path;
    this.#sync = sync;
  }

  async open(): Promise<void> {
    if (this.#file !== undefined) return;
    this.#unlock = await lockFile('fileStore.path', this.#path);
    try {
      await rm(`${this.#path}.new`, { force: true });
      this.#file = await open(this.#path, constants.O_RDWR | constants.O_CREAT);
      await this.#load(this.#file);
      if (this.#sync) await syncFolder(this.#path);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async size(): Promise<number> {
    return this.#places.length;
  }

  async append(messages: readonly StoredMessage[]): Promise<Appended> {
    const text = Buffer.from(messages.map(encodeMessage).join(LINE_END));
    const start = this.#end;
    await this.#write(frame(text));
    this.#locate(text, start + HEADER, this.#places);
    return { kept: true, size: this.#places.length };
  }

  async oldest(max: number): Promise<readonly StoredEntry[]> {
    const places = this.#places.slice(0, max);
    const [first] = places;
    const last = places.at(-1);
    if (first === undefined || last === undefined) return [];
    // All at once: between them lie headers, and what says how many are done.
    const start = first.offset;
    const span = Buffer.alloc(last.offset + last.length - start);
    const bytes = await readAt(this.#opened(), span, start);
    return places.map(({ id, offset, length }) => {
      const from = offset - start;
      if (from + length > bytes) throw new OutboxDamagedError(this.#path, offset);
      const text = span.subarray(from, from + length).toString();
      return { id: String(id), ...decodeMessage(text) };
    });
  }

  async remove(entries: readonly StoredEntry[]): Promise<number> {
    const last = Number(entries.at(-1)?.id ?? -1);
    const count = this.#places.findIndex(({ id }) => id > last);
    return this.drop(count < 0 ? this.#places.length : count);
  }

  async drop(count: number): Promise<number> {
    const removed = this.#places.slice(0, count);
    if (removed.length === 0) return 0;
    if (removed.length === this.#places.length) {
      await this.#opened().truncate(0);
      if (this.#sync) await this.#opened().datasync();
      this.#places = [];
      this.#end = 0;
      this.#dead = 0;
      this.#compactFrom = COMPACT_FROM;
      return removed.length;
    }
    await this.#write(frame(Buffer.from(`-${removed.length}`)));
    this.#places.splice(0, removed.length);
    this.#dead += sizeOf(removed);
    if (this.#dead > this.#compactFrom && this.#dead > this.#end / 2) await this.#compact();
    return removed.length;
  }

  async close(): Promise<void> {
    const file = this.#file;
    const unlock = this.#unlock;
    this.#file = undefined;
    this.#unlock = undefined;
    this.#places = [];
    try {
      await file?.close();
    } finally {
      await unlock?.();
    }
  }

  #opened(): FileHandle {
    if (this.#file === undefined) throw new Error(`the outbox '${this.#path}' is not open`);
    return this.#file;
  }

  /** All or nothing: what was written in part is cut off again. */
  async #write(data: Buffer): Promise<void> {
    const file = this.#opened();
    if (this.#torn) await file.truncate(this.#end);
    this.#torn = true;
    try {
      await writeAt(file, data, this.#end);
      if (this.#sync) await file.datasync();
      this.#end += data.length;
      this.#torn = false;
    } catch (error) {
      await file.truncate(this.#end).catch(() => {});
      throw error;
    }
  }

  async #load(file: FileHandle): Promise<void> {
    const data = await readFile(this.#path);
    let done = 0;
    let at = 0;
    const places: Place[] = [];
    for (let text = textAt(data, at); text !== undefined; text = textAt(data, at)) {
      if (text[0] === DONE) done += Number(text.subarray(1).toString());
      else this.#locate(text, at + HEADER, places);
      at += HEADER + text.length;
    }
    if (holdsRecord(data, at + 1)) throw new OutboxDamagedError(this.#path, at);
    if (at < data.length) await file.truncate(at);
    this.#end = at;
    this.#places = places.slice(done);
    this.#dead = sizeOf(places.slice(0, done));
  }

  /** Adds where the messages of a record lie, whose text begins at `offset`. */
  #locate(text: Buffer, offset: number, places: Place[]): void {
    for (let from = 0; from < text.length; ) {
      const end = text.indexOf(LINE_END, from);
      const length = (end < 0 ? text.length : end) - from;
      places.push({ id: this.#next++, offset: offset + from, length });
      from += length + LINE_END.length;
    }
  }

  /**
   * Writes what is left into a new file, which takes the old one's place. If it can not, the old one
   * stays as it is, and the next try is when as much again is done.
   */
  async #compact(): Promise<void> {
    const old = this.#opened();
    const path = `${this.#path}.new`;
    let file: FileHandle | undefined;
    try {
      file = await open(path, 'w+');
      const places: Place[] = [];
      let end = 0;
      for (const { id, offset, length } of this.#places) {
        const { buffer, bytesRead } = await old.read(Buffer.alloc(length), 0, length, offset);
        if (bytesRead !== length) throw new OutboxDamagedError(this.#path, offset);
        await writeAt(file, frame(buffer), end);
        places.push({ id, offset: end + HEADER, length });
        end += HEADER + length;
      }
      await file.datasync();
      await rename(path, this.#path);
      this.#file = file;
      this.#places = places;
      this.#end = end;
      this.#dead = 0;
      this.#compactFrom = COMPACT_FROM;
    } catch (error) {
      this.#compactFrom = this.#dead + COMPACT_FROM;
      await file?.close().catch(() => {});
      await rm(path, { force: true }).catch(() => {});
      report(error, 'outbox');
      return;
    }
    if (this.#sync) await syncFolder(this.#path);
    await old.close().catch(() => {});
  }
}

/** Reads as much as there is; gives how much that was. */
async function readAt(file: FileHandle, data: Buffer, position: number): Promise<number> {
  let read = 0;
  while (read < data.length) {
    const { bytesRead } = await file.read(data, read, data.length - read, position + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return read;
}

async function writeAt(file: FileHandle, data: Buffer, position: number): Promise<void> {
  for (let written = 0; written < data.length; ) {
    const rest = data.length - written;
    written += (await file.write(data, written, rest, position + written)).bytesWritten;
  }
}

/** Makes a file's name as safe as its content. Not every system can: Windows opens no folder. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(dirname(path), 'r');
    await folder.sync().finally(() => folder.close());
  } catch (error) {
    if (process.platform !== 'win32') report(error, 'outbox');
  }
}

/** A record: length, checksum, text. */
function frame(text: Buffer): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt32BE(text.length, 0);
  header.writeUInt32BE(crc32(text), 4);
  return Buffer.concat([header, text]);
}

/** The text of the whole record that begins at `at`; `undefined` if none does. */
function textAt(data: Buffer, at: number): Buffer | undefined {
  if (at + HEADER >= data.length) return undefined;
  const length = data.readUInt32BE(at);
  const end = at + HEADER + length;
  if (length === 0 || end > data.length) return undefined;
  const text = data.subarray(at + HEADER, end);
  return crc32(text) === data.readUInt32BE(at + 4) ? text : undefined;
}

/**
 * Whether a whole record begins anywhere from `from` on. None can be taken for one within the text of
 * another: the length of one under 16 MiB begins with a zero byte, and JSON holds none.
 */
function holdsRecord(data: Buffer, from: number): boolean {
  for (let at = from; at < data.length; at += 1) {
    const begin = data[at + HEADER];
    if (begin !== DONE && begin !== MESSAGE) continue;
    if (textAt(data, at) !== undefined) return true;
  }
  return false;
}

/** About what messages take in the file, in bytes. */
function sizeOf(places: readonly Place[]): number {
  return places.reduce((sum, { length }) => sum + length + LINE_END.length, 0);
}
