import { parseRfc3339 } from "../../core/clock.ts";
import { LEFT_OUT } from "./followed.ts";
import { type MemberForm, memberForms } from "./schema.ts";
import { PAYLOADS } from "./types.ts";

/** Members that are looked at in a text that has not been parsed. */
const SHOWN = [
  "seq",
  "id",
  "type",
  "time",
  "trace_id",
  "tenant",
  "principal",
  "action_id",
  "decision",
  "grant_id",
  "receipt_id",
  "session_id",
  "cause",
] as const;
type Shown = (typeof SHOWN)[number];

/** A payload that is exactly what one of its type may be, by its text alone. */
export interface PlainEntry {
  /** The JSON texts of members; undefined for those that entries of the type do not have. */
  readonly members: { readonly [M in Shown]: string | undefined };
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** What a `FollowedEntry` has of the text. */
  readonly followed: string;
}

/** The texts of payloads of one type, read by one regular expression with groups around what is asked of them. */
class PlainForm {
  private readonly regex: RegExp;
  /** Of the group of each member that is shown; 0 for none. */
  private readonly places: { readonly [M in Shown]: number };
  /** Of the groups around members in a row that are followed; null where all are. */
  private readonly runs: readonly number[] | null;

  constructor(members: readonly MemberForm[], leftOut: readonly string[]) {
    const groups: string[] = [];
    const runs: number[] = [];
    let source = "";
    for (const [i, { name, key, value }] of members.entries()) {
      const inRun = i > 0 && !leftOut.includes(members[i - 1]?.name ?? "");
      const isFollowed = !leftOut.includes(name);
      if (inRun && !isFollowed) source += ")";
      source += i === 0 ? "" : ",";
      if (isFollowed && !inRun) {
        source += "(";
        runs.push(groups.push(""));
      }
      if (SHOWN.some((shown) => shown === name)) {
        source += `${key}:(${value})`;
        groups.push(name);
      } else source += `${key}:${value}`;
    }
    if (!leftOut.includes(members.at(-1)?.name ?? "")) source += ")";
    this.regex = new RegExp(`^\\{${source}\\}$`);
    this.runs = leftOut.length === 0 ? null : runs;
    const places = SHOWN.map((name) => [name, groups.indexOf(name) + 1]);
    this.places = Object.fromEntries(places) as PlainForm["places"]; // of each name that is shown
  }

  test(text: string): boolean {
    return this.regex.test(text);
  }

  read(text: string): PlainEntry | null {
    const found = this.regex.exec(text);
    if (found === null) return null;
    const { places } = this;
    const at = (place: number): string | undefined => (place === 0 ? undefined : found[place]);
    const time = parseRfc3339(at(places.time)?.slice(1, -1) ?? "");
    if (time === null) return null;
    const members = {
      seq: at(places.seq),
      id: at(places.id),
      type: at(places.type),
      time: at(places.time),
      trace_id: at(places.trace_id),
      tenant: at(places.tenant),
      principal: at(places.principal),
      action_id: at(places.action_id),
      decision: at(places.decision),
      grant_id: at(places.grant_id),
      receipt_id: at(places.receipt_id),
      session_id: at(places.session_id),
      cause: at(places.cause),
    };
    return { members, time, followed: this.runs === null ? text : followed(found, this.runs) };
  }
}

function followed(found: RegExpExecArray, runs: readonly number[]): string {
  let text = "";
  for (const place of runs) text += text === "" ? `{${found[place]}` : `,${found[place]}`;
  return `${text}}`;
}

const forms = new Map<string, PlainForm | null>();

function formOf(type: string): PlainForm | null {
  const known = forms.get(type);
  if (known !== undefined) return known;
  const schema = PAYLOADS.get(type);
  if (schema === undefined) return null;
  const members = memberForms(schema.members);
  const leftOut: { readonly [type: string]: readonly string[] } = LEFT_OUT;
  const form = members === null ? null : new PlainForm(members, leftOut[type] ?? []);
  forms.set(type, form);
  return form;
}

/** Longer texts are parsed: matching goes back over what an attacker wrote, once for each member. */
const LONGEST = 65_536;

/**
 * Whether a text is, byte for byte, what an entry of this type may be but for its time: members, order, values. True for
 * nearly all that are; false says nothing. One pass that makes no objects, where parsing, checking and writing anew are three.
 */
export function isPlain(type: string, text: string): boolean {
  return text.length <= LONGEST && (formOf(type)?.test(text) ?? false);
}

/** Reads a text of which {@link isPlain} holds, with a time that there is. Null says nothing. */
export function readPlain(type: string, text: string): PlainEntry | null {
  return text.length <= LONGEST ? (formOf(type)?.read(text) ?? null) : null;
}

/** Whether a member's text is that of a value in a column: a text, or null where the entry has none. */
export function isText(text: string | undefined, column: unknown): boolean {
  if (text === undefined || !text.startsWith('"')) return column === null;
  // Plain texts have no escapes: what stands between the quotes is the value.
  return typeof column === "string" && column.length + 2 === text.length && text.startsWith(column, 1);
}
