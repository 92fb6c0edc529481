import { SECRET_MARK, type SecretBinding } from "../../core/secret-binding.ts";

/** RFC 3986 §2.3: everything but unreserved characters is encoded. */
export function percent(value: Uint8Array): string {
  let text = "";
  for (const byte of value) {
    const character = String.fromCharCode(byte);
    text += /[A-Za-z0-9._~-]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}

/** The format of a binding with the value in it. */
export function filled({ format }: SecretBinding, value: Uint8Array): Buffer {
  const [before = "", after = ""] = format.split(SECRET_MARK);
  return Buffer.concat([Buffer.from(before), value, Buffer.from(after)]);
}

/**
 * A value as it stands in the bytes of the request. A server that gives back the whole request, in a coding of its
 * own, gives back a coding of this.
 */
export function asSent(binding: SecretBinding, value: Uint8Array): Uint8Array {
  switch (binding.in) {
    case "header":
      return value;
    case "basic":
      return Buffer.from(filled(binding, value).toString("base64"));
    case "query":
    case "path":
      return Buffer.from(percent(value));
    case "body":
      return binding.name.startsWith("/")
        ? Buffer.from(JSON.stringify(Buffer.from(value).toString("utf8")).slice(1, -1))
        : Buffer.from(percent(value));
  }
}
