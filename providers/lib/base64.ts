import { Bytes } from "./abi";

/** Standard alphabet with padding (RFC 4648 §4). */
const ALPHABET = memory.data<u8>([
  65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 97, 98, 99,
  100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 48,
  49, 50, 51, 52, 53, 54, 55, 56, 57, 43, 47,
]);

export function encodedSize(size: usize): usize {
  return ((size + 2) / 3) * 4;
}

export function encodeBase64(bytes: Bytes, out: usize): void {
  const whole = bytes.ptr + bytes.len - (bytes.len % 3);
  let at = bytes.ptr;
  for (; at < whole; at += 3, out += 4) {
    const group = (<u32>load<u8>(at) << 16) | (<u32>load<u8>(at, 1) << 8) | load<u8>(at, 2);
    store<u8>(out, load<u8>(ALPHABET + (group >> 18)));
    store<u8>(out, load<u8>(ALPHABET + ((group >> 12) & 63)), 1);
    store<u8>(out, load<u8>(ALPHABET + ((group >> 6) & 63)), 2);
    store<u8>(out, load<u8>(ALPHABET + (group & 63)), 3);
  }
  const left = bytes.len % 3;
  if (left == 0) return;
  const group = (<u32>load<u8>(at) << 16) | (left == 2 ? <u32>load<u8>(at, 1) << 8 : 0);
  store<u8>(out, load<u8>(ALPHABET + (group >> 18)));
  store<u8>(out, load<u8>(ALPHABET + ((group >> 12) & 63)), 1);
  store<u8>(out, left == 2 ? load<u8>(ALPHABET + ((group >> 6) & 63)) : 0x3d, 2);
  store<u8>(out, 0x3d, 3);
}

const VALUES = memory.data(256);
const FOREIGN: u8 = 0xff;

/** Decodes over its own text, which the result never outgrows. Null when it is not padded base64. */
export function decodeBase64(text: Bytes): Bytes | null {
  if (text.len % 4 != 0) return null;
  if (text.len == 0) return text;
  memory.fill(VALUES, FOREIGN, 256);
  for (let i: u8 = 0; i < 64; i++) store<u8>(VALUES + load<u8>(ALPHABET + i), i);
  const last = text.ptr + text.len - 1;
  const padding: usize = load<u8>(last) != 0x3d ? 0 : load<u8>(last - 1) != 0x3d ? 1 : 2;
  const end = text.ptr + text.len;
  let out = text.ptr;
  for (let at = text.ptr; at < end; at += 4) {
    const pad = at + 4 == end ? padding : 0;
    const a = load<u8>(VALUES + load<u8>(at));
    const b = load<u8>(VALUES + load<u8>(at, 1));
    const c = pad == 2 ? 0 : load<u8>(VALUES + load<u8>(at, 2));
    const d = pad > 0 ? 0 : load<u8>(VALUES + load<u8>(at, 3));
    // Values are below 64; the mark for a foreign character has the two bits above set.
    if ((a | b | c | d) & 0xc0) return null;
    const group = (<u32>a << 18) | (<u32>b << 12) | (<u32>c << 6) | d;
    store<u8>(out++, group >> 16);
    if (pad < 2) store<u8>(out++, group >> 8);
    if (pad < 1) store<u8>(out++, group);
  }
  return new Bytes(text.ptr, out - text.ptr);
}
