/**
 * Just enough of the protobuf wire format (https://protobuf.dev/programming-guides/encoding/) to read
 * two well-known messages, so that no protobuf library is needed. What can't be read gives `undefined`.
 */

/** A field of a message: a number (varint) or bytes. */
export interface WireField {
  readonly number: number;
  readonly value: number | Uint8Array;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** The fields of a message, in order; `undefined` if it is not one. Fixed-width fields are passed over. */
export function readFields(bytes: Uint8Array): readonly WireField[] | undefined {
  const fields: WireField[] = [];
  let at = 0;
  const varint = (): number | undefined => {
    let value = 0;
    // Ten bytes hold 64 bits; a double holds the low 53 exactly, and a sign beyond them is lost.
    for (let shift = 0; shift < 10; shift++) {
      const byte = bytes[at++];
      if (byte === undefined) return undefined;
      value += (byte & 0x7f) * 2 ** (7 * shift);
      if (byte < 0x80) return value;
    }
    return undefined;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag === undefined) return undefined;
    const number = Math.floor(tag / 8);
    const type = tag % 8;
    if (number === 0) return undefined;
    if (type === FIXED64) at += 8;
    else if (type === FIXED32) at += 4;
    else if (type === VARINT || type === BYTES) {
      const value = varint();
      if (value === undefined) return undefined;
      if (type === VARINT) fields.push({ number, value });
      else {
        if (at + value > bytes.length) return undefined;
        fields.push({ number, value: bytes.subarray(at, at + value) });
        at += value;
      }
    } else return undefined;
  }
  return at === bytes.length ? fields : undefined;
}

/** The last value of a bytes field. */
export function bytesOf(fields: readonly WireField[], number: number): Uint8Array | undefined {
  const found = fields.findLast((field) => field.number === number)?.value;
  return typeof found === 'number' ? undefined : found;
}

/** The last value of a varint field; 0, as protobuf has it, if there is none. */
export function numberOf(fields: readonly WireField[], number: number): number {
  const found = fields.findLast((field) => field.number === number)?.value;
  return typeof found === 'number' ? found : 0;
}

/** A message with one string field of up to 127 bytes, or more. */
export function stringField(number: number, text: string): Buffer {
  const value = Buffer.from(text);
  const head = [number * 8 + BYTES];
  let length = value.length;
  for (; length >= 0x80; length = Math.floor(length / 0x80)) head.push((length % 0x80) | 0x80);
  head.push(length);
  return Buffer.concat([Buffer.from(head), value]);
}
