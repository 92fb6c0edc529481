/** A second verifier of ledgers, written from docs/evidence-format.md alone; it shares no code with the first. */
import { Database } from "bun:sqlite";
import { verify as checkSignature } from "node:crypto";
import format from "../../docs/evidence-entries.schema.json";
import {
  type Any,
  canonical,
  decode,
  fits,
  importKey,
  type Jwk,
  sha,
  thumbprint,
  treeRoot,
} from "./primitives.ts";
import { type Key, Revocations } from "./revocations.ts";
import { Rules } from "./rules.ts";

export interface Verdict {
  readonly verdict: "intact" | "consistent" | "damaged" | "unsupported" | "unreadable";
  readonly exit_code: number;
  /** What is wrong, by exit code, in the order in which it was found. */
  readonly faults: readonly string[];
  readonly head: string | null;
  readonly root: string | null;
  readonly unresolved: number;
}

export function verifyLedger(path: string, trust: string | null): Verdict {
  let faults: { code: number; what: string; rule?: number }[] = [];
  const fault = (code: number, what: string) => void faults.push({ code, what });
  const leaves: Buffer[] = [];
  const [keys, signers] = [new Map<string, Key>(), new Set<string>()];
  const revocations = new Revocations(keys);
  const rules = new Rules((code, what, rule) => void faults.push({ code, what, rule }));
  const sideTable = new Map<number, Any>();
  let [log, unsupported, signer]: Any[] = [null, false, ""];

  const keyAt = (purpose: string, seq: number) =>
    [...keys].find(([, key]) => key.purpose === purpose && key.from <= seq && seq <= key.to);
  function introduce(purpose: string, jwk: Jwk, from: number): boolean {
    const kid = thumbprint(jwk);
    const admitted = !keys.has(kid) && importKey(jwk) !== null;
    if (admitted) keys.set(kid, { purpose, jwk, from, to: Number.POSITIVE_INFINITY });
    else fault(11, `the key ${kid} is not admitted`);
    return admitted;
  }

  /** The payload of a row that is signed and may be said; null, with its fault, when it is not. */
  function open(row: Any): Any {
    const parts = typeof row.jws === "string" ? row.jws.split(".") : [];
    const [header, body, signature] = parts.map((part: string) => decode(part, "base64url"));
    const kid = /^\{"alg":"EdDSA","kid":"([\w-]{43})","typ":"latchgate-entry\+jws"\}$/.exec(`${header}`)?.[1];
    if (parts.length !== 3 || !body || signature?.length !== 64 || kid === undefined)
      return fault(11, `entry ${row.seq}: not a signed entry`);
    let [payload, text, sound]: Any[] = [null, "", false];
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
      payload = JSON.parse(text);
      const schema = Object.hasOwn(format.$defs, payload.type) ? (format.$defs as Any)[payload.type] : null;
      const time = new Date(payload.time);
      sound = fits(payload, schema) && canonical(payload) === text && time.toISOString() === payload.time;
    } catch {}
    if (row.seq === 0 && sound && payload.type === "log.opened" && payload.seq === 0 && log === null) {
      log = payload.log;
      for (const [purpose, jwk] of Object.entries(payload.keys)) introduce(purpose, jwk as Jwk, 0);
    }
    if (log === null) fault(10, "the log does not start with its opening");
    const seq = sound ? payload.seq : row.seq;
    const key = keys.get(kid);
    const known = key?.purpose === "evidence" && key.from <= seq && seq <= key.to;
    const jwk = known ? key.jwk : sound && revocations.bringsIn(payload, kid);
    const inForce = jwk ? importKey(jwk) : null;
    if (!inForce || !checkSignature(null, Buffer.from(`${parts[0]}.${parts[1]}`), inForce, signature))
      return fault(11, `entry ${row.seq}: no valid signature of a key in force`);
    signers.add(kid);
    signer = kid;
    if (sound) return payload;
    if (Number.isSafeInteger(payload?.v) && payload.v > 1) unsupported = true;
    else fault(11, `entry ${row.seq}: not a payload of the format`);
  }

  function rotate({ purpose, previous_kid, jwk, kid, possession, seq }: Any): void {
    const current = keyAt(purpose, seq);
    const [key, signature] = [importKey(jwk), decode(possession, "base64url")];
    const message = Buffer.from(`latchgate-key-possession-v1${log}${seq}${kid}`);
    const how = jwk.kty === "EC" ? "sha256" : null;
    const held =
      key && signature && checkSignature(how, message, { key, dsaEncoding: "ieee-p1363" }, signature);
    if (
      !held ||
      current?.[0] !== previous_kid ||
      thumbprint(jwk) !== kid ||
      (purpose === "lease") !== (how !== null)
    )
      fault(11, `entry ${seq}: the rotation is not valid`);
    else {
      introduce(purpose, jwk, seq + 1);
      if (current) current[1].to = seq;
    }
  }

  function checkpoint({ size, root, note }: Any): void {
    const expected = treeRoot(leaves.slice(0, size));
    const text = `latchgate/${log}\n${size}\n${expected.toString("base64")}\n`;
    const bytes = root instanceof Uint8Array ? Buffer.from(root) : Buffer.alloc(0);
    const lines =
      typeof note === "string" && note.endsWith("\n") ? note.slice(text.length + 1, -1).split("\n") : [];
    const formed = lines.length > 0 && lines.every((line) => /^— \S+ [A-Za-z0-9+/]{7,}=*$/.test(line));
    if (
      size < 1 ||
      size > leaves.length ||
      !expected.equals(bytes) ||
      !formed ||
      !note.startsWith(`${text}\n`)
    )
      return void fault(10, `the checkpoint of ${size} entries has another root, or is not in its form`);
    const jwk = keyAt("checkpoint", size)?.[1].jwk;
    const [key, name] = [jwk && importKey(jwk), `latchgate/${log}`];
    const id = sha(name, "\n", Uint8Array.of(1), Buffer.from(jwk?.x ?? "", "base64url")).subarray(0, 4);
    const good = lines.some((line) => {
      const blob = decode(line.split(" ")[2] ?? "", "base64");
      if (!key || !blob || line.split(" ")[1] !== name || !blob.subarray(0, 4).equals(id)) return false;
      return checkSignature(null, Buffer.from(text), key, blob.subarray(4));
    });
    if (!good) fault(11, `the checkpoint of ${size} entries is not signed`);
  }

  function node({ level, idx, hash }: Any): void {
    const leafCount = 2 ** level;
    const below =
      Number.isInteger(idx) && level >= 1 ? leaves.slice(idx * leafCount, (idx + 1) * leafCount) : [];
    const whole = below.length === leafCount && idx >= 0 && hash instanceof Uint8Array;
    if (!whole || !treeRoot(below).equals(hash)) fault(13, `the node ${idx} of level ${level} differs`);
  }

  function column(row: Any, name: string, value: unknown): void {
    if (row[name] !== value) fault(13, `entry ${row.seq}: the column ${name} differs`);
  }

  try {
    const db = new Database(path, { readonly: true });
    try {
      const all = (table: string, order: string): Any[] =>
        db.query(`SELECT * FROM ${table} ORDER BY ${order}`).all();
      for (const row of all("entries", "seq")) {
        const prev = leaves.at(-1)?.toString("hex") ?? null;
        const leaf = sha(Uint8Array.of(0), typeof row.jws === "string" ? row.jws : "");
        if (row.seq !== leaves.length) fault(10, `entry ${leaves.length} is missing`);
        const entry = open(row);
        if (entry) {
          if (entry.seq !== row.seq || entry.prev !== prev || entry.log !== log)
            fault(10, `entry ${row.seq}: chain`);
          column(row, "time_ms", Date.parse(entry.time));
          for (const name of "id type trace_id tenant principal action_id decision".split(" "))
            column(row, name, typeof entry[name] === "string" ? entry[name] : null);
          if (entry.type === "key.rotated") rotate(entry);
          if (entry.type === "key.revoked") {
            const { purpose } = entry;
            if (!revocations.take(entry, signer, leaves, (jwk, from) => introduce(purpose, jwk, from)))
              fault(11, `entry ${row.seq}: the revocation is not valid`);
            else if (purpose === "evidence") rules.forget((seq) => revocations.covers(seq));
          }
          rules.take(entry);
        }
        column({ ...row, hash: row.hash instanceof Uint8Array && leaf.equals(row.hash) }, "hash", true);
        leaves.push(leaf);
      }
      for (const row of all("checkpoints", "size")) checkpoint(row);
      for (const row of all("grants", "seq")) sideTable.set(row.seq, row);
      for (const row of all("nodes", "level, idx")) node(row);
    } finally {
      db.close();
    }
  } catch (error) {
    return {
      verdict: "unreadable",
      exit_code: 1,
      faults: [`${error}`],
      head: null,
      root: null,
      unresolved: 0,
    };
  }
  for (const { entry, receipt } of rules.grants.values()) {
    const { grant_id, session_id, principal } = entry;
    const [approval_id, receipt_id, receipt_seq] = [
      entry.cause.approval_id,
      receipt?.receipt_id ?? null,
      receipt?.seq ?? null,
    ];
    const wanted = { grant_id, seq: entry.seq, approval_id, session_id, principal, receipt_id, receipt_seq };
    if (canonical(sideTable.get(entry.seq) ?? null) !== canonical(wanted))
      fault(13, `the row of grant ${grant_id}`);
  }
  if (sideTable.size !== rules.grants.size) fault(13, "the table of grants has other rows than grants");
  if (leaves.length === 0) fault(10, "the log is empty");
  const kid = trust?.replace(/^SHA256:/, "") ?? null;
  const trusted = kid !== null && signers.has(kid) && !revocations.taints(kid);
  // What nobody vouches for proves nothing: neither for nor against the log.
  faults = faults.filter(({ rule }) => rule === undefined || !revocations.covers(rule));
  if (kid !== null && !trusted) fault(11, "no trusted key has signed this log");
  const code = faults.length > 0 ? Math.min(...faults.map((one) => one.code)) : unsupported ? 1 : 0;
  const verdict =
    faults.length > 0 ? "damaged" : unsupported ? "unsupported" : kid === null ? "consistent" : "intact";
  return {
    verdict,
    exit_code: code,
    faults: faults.map(({ code, what }) => `${code} ${what}`),
    head: leaves.at(-1)?.toString("hex") ?? null,
    root: leaves.length === 0 ? null : treeRoot(leaves).toString("hex"),
    unresolved: [...rules.grants.values()].filter(
      ({ entry, receipt }) => receipt === null && !revocations.covers(entry.seq),
    ).length,
  };
}
