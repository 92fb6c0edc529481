/** Looks for credentials in what others got to see, by spellings written down here and not those of the gate itself. */
import { createHmac } from "node:crypto";
import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The spellings of a value of which one would give it away. */
export function spellings(value: string): readonly string[] {
  const bytes = Buffer.from(value);
  const hex = bytes.toString("hex");
  const everyByte = hex.replace(/../g, "%$&");
  return [
    ...new Set([
      value,
      ...[0, 1, 2].flatMap((before) => base64At(bytes, before)),
      hex,
      hex.toUpperCase(),
      everyByte,
      everyByte.toUpperCase(),
      encodeURIComponent(value),
      encodeURIComponent(value).replace(/%../g, (found) => found.toLowerCase()),
      new URLSearchParams({ v: value }).toString().slice(2),
      JSON.stringify(value).slice(1, -1),
      JSON.stringify(value).slice(1, -1).replaceAll("/", "\\/"),
      Bun.escapeHTML(value),
      Buffer.from(value, "utf16le").toString("latin1"),
    ]),
  ];
}

/** Behind so many other bytes: the characters that are made of the value alone, in both alphabets. */
function base64At(value: Buffer, before: number): string[] {
  const text = Buffer.concat([Buffer.alloc(before, "x"), value]).toString("base64");
  const own = text.slice(Math.ceil((before * 4) / 3), Math.floor(((before + value.length) * 4) / 3));
  return [own, own.replaceAll("+", "-").replaceAll("/", "_")];
}

/** What Signature Version 4 makes of a secret key on its way to signatures ("Deriving the signing key"), and of what. */
export function signingKeys(secret: string, day: string, region: string): readonly string[] {
  const keys: Buffer[] = [];
  let key: Buffer = Buffer.from(`AWS4${secret}`);
  for (const part of [day, region, "s3", "aws4_request"]) {
    key = createHmac("sha256", key).update(part).digest();
    keys.push(key);
  }
  return keys.flatMap((one) => [one.toString("hex"), one.toString("base64"), one.toString("latin1")]);
}

/** Which of the spellings stand in a text or in bytes. */
export function tells(where: string | Uint8Array, told: readonly string[]): readonly string[] {
  const bytes = Buffer.from(where as Uint8Array);
  return told.filter(
    (spelling) =>
      bytes.includes(Buffer.from(spelling, "utf8")) || bytes.includes(Buffer.from(spelling, "latin1")),
  );
}

/** Every file below a folder, with its content as it is on the disk. */
export function filesBelow(folder: string): readonly (readonly [path: string, content: Buffer])[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry: Dirent) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path, readFileSync(path)] as const;
    });
}
