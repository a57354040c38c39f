/** Tells the server what it works for, where there is an ambient context. */
import type { Metadata } from '@grpc/grpc-js';
import { type Call, contextHeaders } from '@resil/core';

/** It goes as `grpc-timeout`. */
const NO_DEADLINE = Object.freeze({ deadline: undefined });

/** Adds to the metadata of an attempt. The deadline goes as `grpc-timeout`, which grpc-js sends by itself. */
export function tellContext(metadata: Metadata, call: Call): void {
  const told = contextHeaders(call, NO_DEADLINE);
  if (told === undefined) return;
  for (const [name, value] of Object.entries(told)) metadata.set(name, value);
}
