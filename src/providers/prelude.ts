/**
 * What a script may expect of its surroundings and the engine inside a component lacks: UTF-8. Plain JavaScript that
 * stands before the bundle.
 */
export const PRELUDE = `
globalThis.TextEncoder ??= class TextEncoder {
  get encoding() { return "utf-8"; }
  encode(text = "") {
    const out = [];
    for (const character of String(text)) {
      let code = character.codePointAt(0);
      if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
      if (code < 0x80) out.push(code);
      else if (code < 0x800) out.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) out.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else out.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
    return Uint8Array.from(out);
  }
};
globalThis.TextDecoder ??= class TextDecoder {
  #fatal;
  #keepMark;
  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError("only utf-8 is decoded");
    this.#fatal = fatal;
    this.#keepMark = ignoreBOM;
  }
  get encoding() { return "utf-8"; }
  decode(input = new Uint8Array()) {
    const bytes = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    const parts = [];
    let part = "";
    let at = 0;
    if (!this.#keepMark && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) at = 3;
    while (at < bytes.length) {
      const first = bytes[at++];
      let code = first;
      if (first >= 0x80) {
        const more = first >= 0xc2 && first <= 0xdf ? 1 : first >= 0xe0 && first <= 0xef ? 2 : first >= 0xf0 && first <= 0xf4 ? 3 : 0;
        let low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
        let high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
        code = more === 0 ? -1 : first & (0x3f >> more);
        for (let left = more; left > 0; left--) {
          const next = bytes[at];
          if (!(next >= low && next <= high)) { code = -1; break; }
          code = (code << 6) | (next & 63);
          low = 0x80;
          high = 0xbf;
          at++;
        }
        if (code < 0) {
          if (this.#fatal) throw new TypeError("not valid utf-8");
          code = 0xfffd;
        }
      }
      part += String.fromCodePoint(code);
      if (part.length >= 4096) { parts.push(part); part = ""; }
    }
    return parts.join("") + part;
  }
};
`;
