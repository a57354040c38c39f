/** Messages as text, so that a store need not know about Buffers. */
import type { IHeaders, Message } from 'kafkajs';
import type { StoredMessage } from './outbox-options.js';

type Content = string | { readonly b: string } | null;
type Header = Content | readonly Content[];

interface Encoded {
  readonly t: string;
  readonly k?: Content;
  readonly v: Content;
  readonly p?: number;
  readonly s?: string;
  readonly h?: Readonly<Record<string, Header>>;
}

/** A message as one line of JSON. */
export function encodeMessage({ topic, message }: StoredMessage): string {
  const { key, value, partition, timestamp, headers } = message;
  const encoded: Encoded = {
    t: topic,
    v: encode(value),
    ...(key !== undefined && { k: encode(key) }),
    ...(partition !== undefined && partition !== null && { p: partition }),
    ...(timestamp !== undefined && { s: timestamp }),
    ...(headers !== undefined && { h: encodeHeaders(headers) }),
  };
  return JSON.stringify(encoded);
}

/** The message that {@link encodeMessage} made text of. */
export function decodeMessage(text: string): StoredMessage {
  const { t, k, v, p, s, h } = JSON.parse(text) as Encoded;
  const message: Message = {
    value: decode(v),
    ...(k !== undefined && { key: decode(k) }),
    ...(p !== undefined && { partition: p }),
    ...(s !== undefined && { timestamp: s }),
    ...(h !== undefined && { headers: decodeHeaders(h) }),
  };
  return { topic: t, message };
}

function encode(content: Buffer | string | null): Content {
  if (content === null || typeof content === 'string') return content;
  return { b: Buffer.from(content).toString('base64') };
}

function decode(content: Content): Buffer | string | null {
  if (content === null || typeof content === 'string') return content;
  return Buffer.from(content.b, 'base64');
}

function encodeHeaders(headers: IHeaders): Record<string, Header> {
  const entries = Object.entries(headers).flatMap(([name, header]): [string, Header][] => {
    if (header === undefined) return [];
    return [[name, Array.isArray(header) ? header.map(encode) : encode(header)]];
  });
  return Object.fromEntries(entries);
}

function decodeHeaders(headers: Readonly<Record<string, Header>>): IHeaders {
  const entries = Object.entries(headers).map(([name, header]) => [
    name,
    isList(header) ? header.map((one) => decode(one) as Buffer | string) : decode(header),
  ]);
  return Object.fromEntries(entries) as IHeaders;
}

function isList(header: Header): header is readonly Content[] {
  return Array.isArray(header);
}
