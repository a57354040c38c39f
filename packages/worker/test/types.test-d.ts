/** Tasks and results keep the types of the function: this file only has to compile. */
import { type Layer, pipeline, retry } from '@resil/core';
import { expectTypeOf } from 'vitest';
import { transfer, type WorkerPool, workerPool } from '../src/index.js';

interface Picture {
  readonly pixels: Uint8Array;
}

async function shrink(picture: Picture): Promise<Uint8Array> {
  return transfer(picture.pixels, [picture.pixels.buffer as ArrayBuffer]);
}

export async function types(): Promise<void> {
  const pool = workerPool<typeof shrink>('/srv/shrink.js');
  expectTypeOf(pool).toEqualTypeOf<WorkerPool<typeof shrink>>();
  expectTypeOf(pool.run).parameter(0).toEqualTypeOf<Picture>();
  expectTypeOf(await pool.run({ pixels: new Uint8Array() })).toEqualTypeOf<Uint8Array>();
  const layer: Layer = pool;
  const calls = pipeline(retry(), layer);
  const shrunk = await calls.execute(pool.task({ pixels: new Uint8Array() }));
  expectTypeOf(shrunk).toEqualTypeOf<Uint8Array>();
  // @ts-expect-error: a picture has pixels
  await pool.run({});
  const untyped = workerPool('/srv/any.js');
  expectTypeOf(await untyped.run(undefined as never)).toEqualTypeOf<unknown>();
}
