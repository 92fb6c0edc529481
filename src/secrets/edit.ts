import { equalSecrets } from "../core/bytes.ts";
import type { Identities } from "./age.ts";
import { damaged, SecretsError } from "./errors.ts";
import { type Owner, pathOf, SECRET_NAME, SecretIndex, secretsIn } from "./layout.ts";
import { freshDataKey, unlockDataKey, wrapDataKey } from "./sops/data-key.ts";
import { claimedType, looksEncrypted, open, openComment, placeOf, seal } from "./sops/envelope.ts";
import { formatOf, type SopsFormat } from "./sops/format.ts";
import { checkMac, sealMac } from "./sops/mac.ts";
import { type Metadata, readMetadata } from "./sops/metadata.ts";
import { type MapNode, type Node, pairOf, type SopsText, type Splice, splice } from "./sops/tree.ts";
import { comments, leaves } from "./sops/walk.ts";

/** The version of sops whose format new files follow. */
const FORMAT_VERSION = "3.13.2";
/** Longest value of a secret, in bytes. */
export const LONGEST_VALUE = 65_536;

/** A secrets file whose data key is open and whose MAC holds: what may be changed. */
export interface Unlocked {
  readonly format: SopsFormat;
  readonly file: SopsText;
  readonly metadata: Metadata;
  readonly dataKey: Uint8Array;
}

/** Opens a file's text. Throws `secrets_damaged`, `secrets_unavailable`. The caller overwrites `dataKey`. */
export async function unlock(path: string, text: string, identities: Identities): Promise<Unlocked> {
  const format = formatOf(path);
  const file = format.read(text);
  const metadata = readMetadata(file.metadata);
  const dataKey = await unlockDataKey(metadata, identities);
  checkMac(file.documents, metadata, dataKey);
  return { format, file, metadata, dataKey };
}

/** The text of a new file that holds no secret yet, for these recipients. */
export async function newFile(path: string, recipients: readonly string[], nowMs: number): Promise<string> {
  const dataKey = freshDataKey();
  const lastmodified = timeOf(nowMs);
  const rule = { rule: () => true, macOnlyEncrypted: false };
  const text = formatOf(path).empty({
    age: (await wrapDataKey(dataKey, recipients)).map((wrapped) => ({ ...wrapped })),
    lastmodified,
    mac: sealMac([], rule, dataKey, lastmodified),
    unencrypted_suffix: "_unencrypted",
    version: FORMAT_VERSION,
  });
  dataKey.fill(0);
  return text;
}

/** The text with one secret added or replaced. Everything else stays byte for byte, but for MAC and time. */
export function withSecret(
  unlocked: Unlocked,
  owner: Owner,
  name: string,
  value: Uint8Array,
  nowMs: number,
): string {
  assertName(name);
  assertValue(value);
  const { format, file, dataKey } = unlocked;
  const path = pathOf(owner, name);
  const envelope = seal(value, dataKey, placeOf(path));
  const at = nodeAt(file.documents[0], path);
  if (at !== null && at.kind !== "scalar")
    throw new SecretsError("secrets_unsupported", `${name} is a map or a list in the secrets file`);
  const change =
    at === null ? format.insert(file, path, envelope) : replaced(file.text, at, format, envelope);
  const text = finished(unlocked, splice(file.text, [change]), nowMs);
  const entry = readIndex(format, text).at(owner, name);
  if (entry === null)
    throw new SecretsError(
      "secrets_unsupported",
      `the rule of this secrets file would leave ${name} unencrypted`,
    );
  const back = open(entry.envelope, dataKey, entry.place);
  const same = equalSecrets(back, value);
  back.fill(0);
  if (!same) throw damaged("what was written reads back as something else");
  return text;
}

/** The text without one secret; null when it has none of that name and owner. */
export function withoutSecret(unlocked: Unlocked, owner: Owner, name: string, nowMs: number): string | null {
  const change = unlocked.format.remove(unlocked.file, pathOf(owner, name));
  return change === null ? null : finished(unlocked, splice(unlocked.file.text, [change]), nowMs);
}

/**
 * The text under a fresh data key, with every value and comment encrypted anew, readable by these age recipients alone.
 * Whoever had the old key still reads old copies, so values that may have been seen must be replaced too.
 */
export async function withFreshKey(
  unlocked: Unlocked,
  recipients: readonly string[],
  nowMs: number,
): Promise<string> {
  const { file, format, metadata } = unlocked;
  if (metadata.others)
    throw new SecretsError("secrets_unsupported", "the secrets file has recipients that are not age's", {
      hint: "rotate it with sops",
    });
  const fresh = freshDataKey();
  const changes: Splice[] = [];
  for (const { path, scalar, encrypted } of leaves(file.documents, metadata.rule)) {
    if (!encrypted || scalar.text === "") continue;
    const place = placeOf(path);
    const plain = open(scalar.text, unlocked.dataKey, place);
    changes.push(
      replaced(file.text, scalar, format, seal(plain, fresh, place, claimedType(scalar.text) ?? "str")),
    );
    plain.fill(0);
  }
  const text = recrypted(splice(file.text, changes), file, unlocked.dataKey, fresh);
  const age = (await wrapDataKey(fresh, recipients)).map((wrapped) => ({ ...wrapped }));
  const done = finished({ ...unlocked, dataKey: fresh }, text, nowMs, { age });
  fresh.fill(0);
  return done;
}

/** Comments stand in no MAC; each is bound to the map that it stands in, as `sops` saw it when it wrote the file. */
function recrypted(text: string, file: SopsText, old: Uint8Array, fresh: Uint8Array): string {
  const places = [...new Set(file.documents.flatMap((document) => mapPaths(document, []).map(placeOf)))];
  let out = text;
  for (const document of file.documents)
    for (const { comment } of comments(document)) {
      if (!looksEncrypted(comment.text)) continue;
      const found = places
        .map((place) => ({ place, plain: openComment(comment.text, old, place) }))
        .find(({ plain }) => plain !== null);
      if (found?.plain == null) throw damaged("a comment was changed, or moved from its place");
      out = out.replaceAll(comment.text, seal(found.plain, fresh, found.place, "comment"));
      found.plain.fill(0);
    }
  return out;
}

function mapPaths(node: Node, path: readonly string[]): (readonly string[])[] {
  if (node.kind === "scalar") return [];
  return [
    path,
    ...node.items.flatMap((item) => {
      if (item.kind === "comment") return [];
      return item.kind === "pair" ? mapPaths(item.value, [...path, item.key]) : mapPaths(item, path);
    }),
  ];
}

/** Seals the MAC of a changed text as a reader will see it, and reads the result back before anybody relies on it. */
function finished(
  { format, dataKey }: Unlocked,
  changed: string,
  nowMs: number,
  members: { readonly age?: readonly { recipient: string; enc: string }[] } = {},
): string {
  const file = format.read(changed);
  const metadata = readMetadata(file.metadata);
  const lastmodified = timeOf(nowMs);
  const mac = sealMac(file.documents, metadata, dataKey, lastmodified);
  const text = splice(file.text, format.describe(file, { ...metadata.raw, ...members, lastmodified, mac }));
  const back = format.read(text);
  checkMac(back.documents, readMetadata(back.metadata), dataKey);
  return text;
}

function readIndex(format: SopsFormat, text: string): SecretIndex {
  const file = format.read(text);
  return new SecretIndex(secretsIn(file.documents[0], readMetadata(file.metadata).rule));
}

function replaced(
  text: string,
  { start, end }: { start: number; end: number },
  format: SopsFormat,
  value: string,
): Splice {
  // YAML: a null may stand right after its colon, and a block scalar takes its newline with it.
  const before = format.name === "yaml" && start === end ? " " : "";
  const after = end > start && text[end - 1] === "\n" ? "\n" : "";
  return { start, end, text: `${before}${format.scalar(value)}${after}` };
}

function nodeAt(map: MapNode | undefined, path: readonly string[]): Node | null {
  let node: Node | undefined = map;
  for (const key of path) node = node?.kind === "map" ? pairOf(node, key)?.value : undefined;
  return node ?? null;
}

export function assertName(name: string): void {
  if (!SECRET_NAME.test(name))
    throw new SecretsError("secret_name", "a secret's name is 1 to 64 of A to Z, 0 to 9 and _", {
      hint: "it starts with a letter, as in GITHUB_TOKEN",
    });
}

function assertValue(value: Uint8Array): void {
  const problem =
    value.length === 0
      ? "is empty"
      : value.length > LONGEST_VALUE
        ? `is longer than ${LONGEST_VALUE} bytes`
        : !isText(value)
          ? "is not utf-8 text without zero bytes"
          : null;
  if (problem !== null)
    throw new SecretsError("secret_value", `the value ${problem}`, {
      hint: "base64 is a way to keep bytes that are no text",
    });
}

function isText(value: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(value);
    return !value.includes(0);
  } catch {
    return false;
  }
}

/** RFC 3339 in UTC without fractions, as SOPS has it. */
function timeOf(nowMs: number): string {
  return `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
}
