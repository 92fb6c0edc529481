import { existsSync, readFileSync } from "node:fs";
import { fromBase64url } from "../../core/bytes.ts";
import type { KeyHistory } from "../../keys/history.ts";
import { checkpointOrigin, checkpointSignedBy, parseCheckpoint } from "../checkpoint.ts";
import { LedgerError } from "../errors.ts";
import { CompactTree } from "../tree.ts";
import type { DamageLog } from "./report.ts";

/** What the auditor knows from elsewhere: that the first `size` entries had this root. */
export interface Anchor {
  readonly size: number;
  readonly root: Buffer;
  /** The origin that the note names; null when only size and root were noted. */
  readonly origin: string | null;
  /** The signed note; null as above, and then there is no signature to check. */
  readonly note: string | null;
}

const BARE = /^(0|[1-9][0-9]{0,15}) ([0-9a-f]{64})$/;
const LONGEST = 65_536;

/** An anchor from text: a C2SP checkpoint, or `size root` with the root in hex. Null for anything else. */
export function parseAnchor(text: string): Anchor | null {
  const [, size, root] = BARE.exec(text.trim()) ?? [];
  if (size !== undefined && root !== undefined)
    return { size: Number(size), root: Buffer.from(root, "hex"), origin: null, note: null };
  const parsed = parseCheckpoint(text)?.checkpoint;
  return parsed === undefined ? null : { ...parsed, note: text };
}

/** Reads `--anchor` and `--since`: a file with a checkpoint, or `"SIZE ROOT-HEX"`. Throws `anchor_unreadable`. */
export function readAnchor(value: string): Anchor {
  const unreadable = (what: string) =>
    new LedgerError("anchor_unreadable", `${what} is not a checkpoint`, {
      hint: 'name a file with a checkpoint as the gate signs it, or write "SIZE ROOT" with the root in hex',
    });
  const direct = parseAnchor(value);
  if (direct !== null) return direct;
  if (!existsSync(value)) throw unreadable(JSON.stringify(value.slice(0, 80)));
  let text: string;
  try {
    text = readFileSync(value, "utf8");
  } catch (cause) {
    throw new LedgerError("anchor_unreadable", `cannot read ${value}`, { cause });
  }
  const anchor = text.length > LONGEST ? null : parseAnchor(text);
  if (anchor === null) throw unreadable(value);
  return anchor;
}

/** Whether one of the checkpoint keys that the log has introduced so far signed the note. */
function signedByLog(note: string, history: KeyHistory): boolean {
  return history.all().some(({ purpose, kid, jwk }) => {
    const key = purpose === "checkpoint" ? history.publicKey(kid) : null;
    const raw = fromBase64url(jwk.x);
    return key !== null && raw !== null && checkpointSignedBy(note, key, raw);
  });
}

/** Holds the log against what is known of it from elsewhere, as it grows. */
export class AnchorCheck {
  private readonly damage: DamageLog;
  /** By size, smallest first; those that are still ahead. */
  private readonly ahead: Anchor[];
  /** Size of the largest anchor that held; null when none did. */
  reached: number | null = null;

  constructor(anchors: readonly Anchor[], damage: DamageLog) {
    this.damage = damage;
    this.ahead = [...anchors].sort((a, b) => a.size - b.size);
    while (this.ahead[0]?.size === 0) this.judge(this.ahead.shift(), new CompactTree().root(), null, null);
  }

  /** Judges the anchors within what lies before the first entry that is checked, by its roots as far as they are known. */
  before({
    log,
    history,
    tree,
    roots,
  }: {
    readonly log: string;
    readonly history: KeyHistory;
    readonly tree: CompactTree;
    readonly roots: ReadonlyMap<number, Buffer>;
  }): void {
    for (
      let anchor = this.ahead[0];
      anchor !== undefined && anchor.size <= tree.size;
      anchor = this.ahead[0]
    ) {
      this.ahead.shift();
      const root = anchor.size === tree.size ? tree.root() : roots.get(anchor.size);
      if (root === undefined)
        this.damage.add("anchor", null, `an anchor covers ${anchor.size} entries that are not at hand`);
      else this.judge(anchor, root, log, history);
    }
  }

  /** Called when the tree has one leaf more. */
  at(tree: CompactTree, log: string | null, history: KeyHistory | null): void {
    if (this.ahead[0]?.size !== tree.size) return;
    const root = tree.root();
    while (this.ahead[0]?.size === tree.size) this.judge(this.ahead.shift(), root, log, history);
  }

  private judge(
    anchor: Anchor | undefined,
    root: Buffer,
    log: string | null,
    history: KeyHistory | null,
  ): void {
    if (anchor === undefined) return;
    const fault = faultOf(anchor, root, log, history);
    if (fault === null) this.reached = anchor.size;
    else this.damage.add("anchor", anchor.size === 0 ? null : anchor.size - 1, fault);
  }

  finish(size: number): void {
    for (const anchor of this.ahead)
      this.damage.add(
        "anchor",
        null,
        `the log has ${size} entries, an anchor covers ${anchor.size}: its end is cut off, or it is an older copy`,
      );
  }
}

function faultOf(
  { size, root: anchored, origin, note }: Anchor,
  root: Buffer,
  log: string | null,
  history: KeyHistory | null,
): string | null {
  if (!anchored.equals(root)) return `the first ${size} entries are not those that an anchor covers`;
  // Of nothing there is no log yet and no key: its root says all.
  if (size === 0 || note === null) return null;
  if (log === null || origin !== checkpointOrigin(log)) return "an anchor is of another log";
  return history !== null && signedByLog(note, history)
    ? null
    : "an anchor is not signed by a checkpoint key of this log";
}
