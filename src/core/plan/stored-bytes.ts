/** Bytes of a plan as its JSON has them: base64, or null. */
export function encodeBytes(bytes: Uint8Array): string;
export function encodeBytes(bytes: Uint8Array | null): string | null;
export function encodeBytes(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString("base64");
}

/** What {@link encodeBytes} wrote. */
export function decodeBytes(text: string): Uint8Array;
export function decodeBytes(text: string | null): Uint8Array | null;
export function decodeBytes(text: string | null): Uint8Array | null {
  return text === null ? null : Buffer.from(text, "base64");
}
