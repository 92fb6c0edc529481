import type { ScalarType } from "./tree.ts";

export interface Resolved {
  readonly type: ScalarType;
  readonly text: string;
}

const WORDS: Readonly<Record<string, Resolved>> = Object.fromEntries([
  ...["true", "True", "TRUE"].map((word) => [word, { type: "bool", text: "True" }]),
  ...["false", "False", "FALSE"].map((word) => [word, { type: "bool", text: "False" }]),
  ...["", "~", "null", "Null", "NULL"].map((word) => [word, { type: "null", text: "" }]),
  ...[".nan", ".NaN", ".NAN"].map((word) => [word, { type: "float", text: "NaN" }]),
  ...[".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"].map((word) => [
    word,
    { type: "float", text: "+Inf" },
  ]),
  ...["-.inf", "-.Inf", "-.INF"].map((word) => [word, { type: "float", text: "-Inf" }]),
]);

const INTEGER = /^([-+]?)(0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|0|[1-9][0-9]*)$/;
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

/**
 * What go-yaml v3 takes a plain scalar for: `017`, `1_000` and `0b11` are integers and `2001-02-03` is a time, unlike
 * in YAML 1.2. Null for what SOPS could not store (integers over int64) or where Go's rules have corners that
 * nobody should depend on: the file must quote it.
 */
export function resolvePlain(text: string): Resolved | null {
  if (Object.hasOwn(WORDS, text)) return WORDS[text] ?? null;
  const string: Resolved = { type: "str", text };
  if (!/^[-+.0-9]/.test(text)) return string;
  if (text.startsWith(".")) {
    if (/^\.[0-9]+([eE][-+]?[0-9]+)?$/.test(text)) return float(text, string);
    return /^\.[0-9_.eE+-]*$/.test(text) && /[0-9]/.test(text) ? null : string;
  }
  const time = timestamp(text);
  if (time !== null) return { type: "time", text: time };
  const plain = text.replaceAll("_", "");
  const integer = INTEGER.exec(plain);
  if (integer !== null) {
    const value = integerOf(integer[1] ?? "", integer[2] ?? "");
    if (value >= INT64_MIN && value <= INT64_MAX) return { type: "int", text: value.toString() };
    if (value <= UINT64_MAX && value > 0n) return null;
  }
  return FLOAT.test(plain) ? float(plain, string) : string;
}

function integerOf(sign: string, digits: string): bigint {
  const octal = /^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits;
  const value = BigInt(octal);
  return sign === "-" ? -value : value;
}

function float(text: string, otherwise: Resolved): Resolved {
  const value = Number(text);
  // Go reports a range error and keeps the string.
  return Number.isFinite(value) ? { type: "float", text: goFloat(value) } : otherwise;
}

/** `strconv.FormatFloat(value, 'f', -1, 64)`: the shortest digits that read back, never an exponent. */
export function goFloat(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const [mantissa = "", exponent = "0"] = Math.abs(value).toExponential().split("e");
  const digits = mantissa.replace(".", "");
  const point = Number(exponent) + 1;
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  if (point >= digits.length) return sign + digits + "0".repeat(point - digits.length);
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

const DATE = /^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})$/;
const MOMENT =
  /^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[Tt]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(\.[0-9]{1,9})?(Z|[-+][0-9]{2}:[0-9]{2})| ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(\.[0-9]{1,9})?)$/;

/** `time.Time.MarshalText` of what go-yaml takes for a time; null for any other text. */
function timestamp(text: string): string | null {
  const match = DATE.exec(text) ?? MOMENT.exec(text);
  if (match === null) return null;
  const [year, month, day] = [match[1], match[2], match[3]].map(Number);
  const [hour, minute, second] = [match[4] ?? match[9], match[5] ?? match[10], match[6] ?? match[11]].map(
    (part) => Number(part ?? 0),
  );
  const days = new Date(Date.UTC(2000, month ?? 0, 0)).getUTCDate();
  const leap = month === 2 && new Date(Date.UTC(year ?? 0, 1, 29)).getUTCMonth() !== 1 ? 1 : 0;
  if (!month || month > 12 || !day || day > days - leap) return null;
  if ((hour ?? 0) > 23 || (minute ?? 0) > 59 || (second ?? 0) > 59) return null;
  const fraction = (match[7] ?? match[12] ?? "").replace(/\.?0+$/, "");
  const zone = match[8] === undefined || /^[-+]00:00$/.test(match[8]) ? "Z" : match[8];
  const two = (part: number | undefined) => String(part ?? 0).padStart(2, "0");
  return `${match[1]}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}${fraction}${zone}`;
}
