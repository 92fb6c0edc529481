import { turn } from "./turn.ts";

/**
 * The spellings in which another program may give a credential back. Each covers the whole value; base64 those of its
 * characters that no neighbour shares.
 */
export function formsOf(value: Uint8Array): readonly Uint8Array[] {
  const forms = new Set<string>();
  for (const family of families(value)) for (const form of family) forms.add(form);
  return made(forms);
}

/** The same, with a turn for other calls after each family: those of a long value take milliseconds together. */
export async function formsInTurns(value: Uint8Array): Promise<readonly Uint8Array[]> {
  const forms = new Set<string>();
  for (const family of families(value)) {
    for (const form of family) forms.add(form);
    await turn();
  }
  return made(forms);
}

/** One character per byte, so that every form is compared and kept as bytes. */
function* families(value: Uint8Array): Generator<Iterable<string>, void> {
  const bytes = Buffer.from(value);
  const latin = bytes.toString("latin1");
  const hex = bytes.toString("hex");
  const everyByte = hex.replace(/../g, "%$&");
  yield [latin, hex, hex.toUpperCase(), everyByte, everyByte.toUpperCase()];
  yield base64Forms(bytes);
  // UTF-16 in both orders, of what is UTF-8 itself.
  const text = bytes.toString("utf8");
  const wide = Buffer.from(text, "utf16le");
  yield [wide.toString("latin1"), wide.swap16().toString("latin1")];
  // Most tokens are of characters that no writer escapes.
  if (/^[A-Za-z0-9._-]+$/.test(latin)) return;
  yield* percentForms(bytes);
  // Bytes that are no UTF-8 have no spelling in JSON or HTML of their own.
  if (!Buffer.from(text, "utf8").equals(bytes)) return;
  for (const forms of [jsonForms, htmlForms])
    yield [...forms(text)].map((form) => Buffer.from(form, "utf8").toString("latin1"));
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
    const percent = own.replaceAll("+", "%2B").replaceAll("/", "%2F");
    forms.push(percent, own.replaceAll("+", "%2b").replaceAll("/", "%2f"));
    // Base64 in JSON as .NET has it, and in HTML.
    forms.push(own.replaceAll("+", "\\u002B"), own.replaceAll("+", "&#43;"), own.replaceAll("+", "&#x2B;"));
  }
  return forms;
}

/** What encoders leave alone differs. */
const PERCENT: readonly Uint8Array[] = [
  /[A-Za-z0-9._~-]/, // RFC 3986 unreserved
  /[A-Za-z0-9._~!'()*-]/, // encodeURIComponent
  /[A-Za-z0-9._*-]/, // forms
  /[A-Za-z0-9._~/-]/, // Python's quote
  /[A-Za-z0-9._~$&+:=@-]/, // Go's path segments
  /[A-Za-z0-9._~!$&'()*+,;=:@-]/, // RFC 3986 path segments
  /[A-Za-z0-9._~!$&'()*+,;=:@/-]/, // paths
  /[A-Za-z0-9._~!$&'()*+,;=:@/?-]/, // queries
  /[A-Za-z0-9._~!$&'()*+,;=:@/?#-]/, // encodeURI
  /[!$-&(-;=?-~]/, // WHATWG URL queries
].map(keptTable);

/** 1 for each byte that is kept as it is. */
function keptTable(kept: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (kept.test(String.fromCharCode(byte)) ? 1 : 0));
}

const LOWER_DIGITS = Buffer.from("0123456789abcdef");
const UPPER_DIGITS = Buffer.from("0123456789ABCDEF");
const PERCENT_SIGN = 0x25;

function* percentForms(value: Buffer): Generator<readonly string[], void> {
  const own = [...new Set(value)];
  // Tables that do not differ in the bytes of this value make the same form.
  const tables = new Map(PERCENT.map((kept) => [own.map((byte) => kept[byte]).join(""), kept]));
  for (const kept of tables.values())
    for (const digits of [UPPER_DIGITS, LOWER_DIGITS]) {
      const form = percentForm(value, kept, digits);
      yield [form, form.replaceAll("%20", "+")];
    }
}

function percentForm(value: Buffer, kept: Uint8Array, digits: Uint8Array): string {
  const form = Buffer.allocUnsafe(value.length * 3);
  let length = 0;
  // Each index is in range: of the value, of a table with one cell per byte, of sixteen digits.
  for (let at = 0; at < value.length; at++) {
    const byte = value[at] as number;
    if (kept[byte] === 1) form[length++] = byte;
    else {
      form[length++] = PERCENT_SIGN;
      form[length++] = digits[byte >> 4] as number;
      form[length++] = digits[byte & 15] as number;
    }
  }
  const text = form.toString("latin1", 0, length);
  form.fill(0);
  return text;
}

/** Go; .NET without and with its quotes; PHP's JSON_HEX. */
const JSON_ESCAPES: readonly { readonly also: string; readonly quote: boolean }[] = [
  { also: "<>&", quote: false },
  { also: "<>&'+", quote: false },
  { also: "<>&'+`", quote: true },
  { also: "<>&'", quote: true },
];

/** RFC 8259 §7: what must be escaped, and what common writers escape beside it. */
function jsonForms(text: string): ReadonlySet<string> {
  const plain = JSON.stringify(text).slice(1, -1);
  const forms = new Set<string>();
  for (const form of [plain, plain.replaceAll("/", "\\/")]) {
    forms.add(form);
    for (const { also, quote } of JSON_ESCAPES) {
      const written = replaced(
        form,
        [...also].map((character) => [character, unicodeEscape(character)]),
      );
      forms.add(quote ? written.replaceAll('\\"', "\\u0022") : written);
    }
  }
  // What is not ASCII, as it is and escaped; escapes in either case.
  for (const form of [...forms]) forms.add(form.replace(/[^\u0000-\u007e]/g, unicodeEscape));
  for (const form of [...forms]) forms.add(upperEscapes(form));
  return forms;
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function upperEscapes(text: string): string {
  return text.replace(/\\u[0-9a-f]{4}/g, (found) => `\\u${found.slice(2).toUpperCase()}`);
}

/** What template engines write beside `&amp;`, `&lt;` and `&gt;`; each with its own names for the rest. */
const HTML: readonly Readonly<Record<string, string>>[] = [
  {},
  { '"': "&quot;" },
  { '"': "&quot;", "'": "&#39;" },
  { '"': "&#34;", "'": "&#39;" },
  { '"': "&quot;", "'": "&#x27;" },
  { '"': "&quot;", "'": "&#039;" }, // PHP
  { '"': "&quot;", "'": "&apos;" }, // XML
  { '"': "&#34;", "'": "&#39;", "+": "&#43;" }, // Go
  { '"': "&quot;", "'": "&#x27;", "+": "&#x2B;" }, // .NET
  { '"': "&quot;", "'": "&#x27;", "/": "&#x2F;" }, // OWASP
  { '"': "&quot;", "'": "&#39;", "/": "&#x2F;", "`": "&#x60;", "=": "&#x3D;" }, // Mustache
  { '"': "&quot;", "'": "&#x27;", "`": "&#x60;", "=": "&#x3D;" }, // Handlebars
];

function htmlForms(text: string): string[] {
  const some: readonly [string, string][] = [
    ["&", "&amp;"],
    ["<", "&lt;"],
    [">", "&gt;"],
  ];
  return HTML.map((more) => replaced(text, [...some, ...Object.entries(more)]));
}

/** Each character by its spelling, in turn: none that comes later stands in the spelling of an earlier one. */
function replaced(
  text: string,
  spellings: readonly (readonly [character: string, spelling: string])[],
): string {
  return spellings.reduce((form, [character, spelling]) => form.replaceAll(character, spelling), text);
}
