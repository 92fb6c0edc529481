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
  // UTF-16 in both orders, of what is UTF-8 itself.
  const wide = Buffer.from(bytes.toString("utf8"), "utf16le");
  add(wide.toString("latin1"));
  add(wide.swap16().toString("latin1"));
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
    const percent = own.replaceAll("+", "%2B").replaceAll("/", "%2F");
    forms.push(percent, own.replaceAll("+", "%2b").replaceAll("/", "%2f"));
    // Base64 in JSON as .NET has it, and in HTML.
    forms.push(own.replaceAll("+", "\\u002B"), own.replaceAll("+", "&#43;"), own.replaceAll("+", "&#x2B;"));
  }
  return forms;
}

/** What encoders leave alone differs. */
const PERCENT: readonly (readonly string[])[] = [
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

/** Go; .NET without and with its quotes; PHP's JSON_HEX. */
const JSON_ESCAPES: readonly { readonly also: RegExp; readonly quote: boolean }[] = [
  { also: /[<>&]/g, quote: false },
  { also: /[<>&'+]/g, quote: false },
  { also: /[<>&'+`]/g, quote: true },
  { also: /[<>&']/g, quote: true },
];

/** RFC 8259 §7: what must be escaped, and what common writers escape beside it. */
function jsonForms(text: string): string[] {
  const plain = JSON.stringify(text).slice(1, -1);
  const forms: string[] = [];
  for (const form of [plain, plain.replaceAll("/", "\\/")]) {
    forms.push(form);
    for (const { also, quote } of JSON_ESCAPES) {
      const written = form.replace(also, unicodeEscape);
      const html = quote ? written.replaceAll('\\"', "\\u0022") : written;
      for (const one of [form, html]) {
        const ascii = one.replace(/[^\u0000-\u007e]/g, unicodeEscape);
        forms.push(one, upperEscapes(one), ascii, upperEscapes(ascii));
      }
    }
  }
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
  const some = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  return HTML.map((more) => {
    const names: Readonly<Record<string, string>> = { ...some, ...more };
    return text.replace(/[^A-Za-z0-9 ]/g, (character) => names[character] ?? character);
  });
}
