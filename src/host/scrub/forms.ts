/**
 * The spellings in which another program may give a credential back. Each covers the whole value; base64 those of its
 * characters that no neighbour shares.
 */
export function formsOf(value: Uint8Array): readonly Uint8Array[] {
  const bytes = Buffer.from(value);
  const forms = new Set<string>();
  // One character per byte, so that every form is compared and kept as bytes.
  const add = (form: string) => forms.add(form);
  add(bytes.toString("latin1"));
  const hex = bytes.toString("hex");
  add(hex);
  add(hex.toUpperCase());
  for (const text of base64Forms(bytes)) add(text);
  const everyByte = hex.replace(/../g, "%$&");
  add(everyByte);
  add(everyByte.toUpperCase());
  // Most tokens are of characters that no writer escapes.
  if (/^[A-Za-z0-9._-]+$/.test(bytes.toString("latin1"))) return made(forms);
  for (const text of percentForms(bytes)) add(text);
  const text = bytes.toString("utf8");
  // Bytes that are no UTF-8 have no spelling in JSON or HTML of their own.
  if (Buffer.from(text, "utf8").equals(bytes))
    for (const form of [...jsonForms(text), ...htmlForms(text)])
      add(Buffer.from(form, "utf8").toString("latin1"));
  return made(forms);
}

function made(forms: ReadonlySet<string>): readonly Uint8Array[] {
  return [...forms].map((form) => Buffer.from(form, "latin1"));
}

/** At each of the three alignments, in both alphabets (RFC 4648 §4 and §5), and with JSON's `\/`. */
function base64Forms(value: Buffer): string[] {
  const forms: string[] = [];
  for (let before = 0; before < 3; before++) {
    const encoded = Buffer.concat([Buffer.alloc(before), value]).toString("base64");
    // Characters whose six bits all come from the value.
    const own = encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + value.length) * 8) / 6));
    forms.push(own, own.replaceAll("/", "\\/"), own.replaceAll("+", "-").replaceAll("/", "_"));
    // Base64 inside a query or form.
    forms.push(own.replaceAll("+", "%2B").replaceAll("/", "%2F"));
  }
  return forms;
}

/** What encoders leave alone differs: RFC 3986, encodeURIComponent, forms, path segments, queries. */
const PERCENT: readonly (readonly string[])[] = [
  /[A-Za-z0-9._~-]/,
  /[A-Za-z0-9._~!'()*-]/,
  /[A-Za-z0-9._*-]/,
  /[A-Za-z0-9._~!$&'()*+,;=:@-]/,
  /[A-Za-z0-9._~!$&'()*+,;=:@/-]/,
  /[A-Za-z0-9._~!$&'()*+,;=:@/?-]/,
].flatMap((kept) => [percentTable(kept, true), percentTable(kept, false)]);

/** The spelling of each byte. */
function percentTable(kept: RegExp, upper: boolean): readonly string[] {
  return Array.from({ length: 256 }, (_, byte) => {
    const character = String.fromCharCode(byte);
    const hex = byte.toString(16).padStart(2, "0");
    return kept.test(character) ? character : `%${upper ? hex.toUpperCase() : hex}`;
  });
}

function percentForms(value: Buffer): string[] {
  const forms: string[] = [];
  for (const table of PERCENT) {
    let form = "";
    for (const byte of value) form += table[byte] ?? "";
    forms.push(form, form.replaceAll("%20", "+"));
  }
  return forms;
}

/** RFC 8259 §7: what must be escaped, and what common writers escape beside it. */
function jsonForms(text: string): string[] {
  const plain = JSON.stringify(text).slice(1, -1);
  const slashes = plain.replaceAll("/", "\\/");
  const forms: string[] = [];
  for (const form of [plain, slashes])
    for (const also of [/[<>&]/g, /[<>&'+]/g]) {
      const html = form.replace(also, unicodeEscape);
      forms.push(form, html);
      for (const one of [form, html]) {
        const ascii = one.replace(/[^\u0000-\u007e]/g, unicodeEscape);
        forms.push(ascii, upperEscapes(ascii));
      }
      forms.push(upperEscapes(html));
    }
  return forms;
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function upperEscapes(text: string): string {
  return text.replace(/\\u[0-9a-f]{4}/g, (found) => `\\u${found.slice(2).toUpperCase()}`);
}

function htmlForms(text: string): string[] {
  const some = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return [
    some,
    some.replaceAll('"', "&quot;"),
    some.replaceAll('"', "&quot;").replaceAll("'", "&#39;"),
    some.replaceAll('"', "&#34;").replaceAll("'", "&#39;"),
    some.replaceAll('"', "&quot;").replaceAll("'", "&#x27;"),
  ];
}
