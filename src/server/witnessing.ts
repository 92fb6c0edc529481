import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Config } from "../config/schema.ts";
import type { AnchorQuorum } from "../gate/acts/anchor.ts";
import type { Gate } from "../gate/gate.ts";
import { readVkey, verifyCosignature } from "../ledger/anchor/cosignature.ts";
import { askWitness, type Witness } from "../ledger/anchor/witness-client.ts";
import { parseCheckpoint } from "../ledger/checkpoint.ts";
import { consistencyProof } from "../ledger/proof/consistency.ts";
import { TreeStore } from "../ledger/tree-store.ts";
import type { AnchorParty } from "./anchoring.ts";
import { newestCheckpoint } from "./newest-checkpoint.ts";
import { StartError } from "./start-error.ts";

export interface ConfiguredWitness extends Witness {
  readonly vkey: string;
}

/** The witnesses of the configuration. Throws `config_invalid` when one could not be relied on. */
export function configuredWitnesses(dir: string, { evidence }: Config): readonly ConfiguredWitness[] {
  const invalid = (what: string) => new StartError("config_invalid", `evidence.witnesses: ${what}`);
  const keys = new Set<string>();
  return evidence.witnesses.map(({ url, vkey, ca_file, unsafe_http }) => {
    const key = readVkey(vkey);
    if (key === null) throw invalid(`${vkey} is not a verifier key of type 0x04 that may be relied on`);
    // One key under two names would count twice towards the quorum.
    if (keys.has(key.x)) throw invalid(`${key.name} has the key of another witness`);
    keys.add(key.x);
    if (!url.startsWith("https:") && !unsafe_http)
      throw invalid(`${url} is not https; only unsafe_http = true allows that`);
    const ca = ca_file === undefined ? null : readFileSync(resolve(dir, ca_file), "utf8");
    return { key, vkey, url: url.replace(/\/+$/, ""), ca };
  });
}

/** Has one witness cosign checkpoints. */
export class WitnessParty implements AnchorParty {
  readonly title: string;
  private readonly gate: Gate;
  private readonly witness: ConfiguredWitness;
  private readonly wanted: AnchorQuorum;
  private readonly report: (line: string) => void;
  private readonly tree: TreeStore;

  constructor(gate: Gate, witness: ConfiguredWitness, wanted: AnchorQuorum, report: (line: string) => void) {
    this.title = `witness ${witness.key.name}`;
    this.gate = gate;
    this.witness = witness;
    this.wanted = wanted;
    this.report = report;
    this.tree = new TreeStore(gate.reader.db);
  }

  async step(closed: () => boolean): Promise<boolean> {
    const newest = newestCheckpoint(this.gate);
    const old = this.cosigned();
    if (newest === null || newest.size <= old) return false;
    const { clock, config, ledger } = this.gate;
    const { size, note } = newest;
    const answer = await askWitness(this.witness, {
      note,
      oldSize: old,
      proof: (from) => consistencyProof(from, size, this.tree.read),
      timeoutMs: config.evidence.witness_timeout_s * 1000,
      now: Math.floor(clock.now() / 1000),
    });
    if (closed()) return false;
    if (answer.kind === "refused") {
      this.report(`${answer.code}: ${this.witness.key.name} at ${this.witness.url}: ${answer.detail}`);
      return false;
    }
    const { line } = answer.cosignature;
    return (await ledger.act("recordCosignature", { size, line, ...this.wanted })) !== "unverified";
  }

  /** The size of the last checkpoint that it has cosigned; 0 when there is none. */
  private cosigned(): number {
    const { key } = this.witness;
    const last = this.gate.reader.db
      .query<{ size: number; line: string; note: string }, [string]>(
        `SELECT size, line, note FROM cosignatures JOIN checkpoints USING (size)
         WHERE public_key = ? ORDER BY size DESC LIMIT 1`,
      )
      .get(key.x);
    // A row that somebody planted must not keep the witness from being asked.
    const text = last === null ? undefined : parseCheckpoint(last.note)?.text;
    const holds = last !== null && text !== undefined && verifyCosignature(text, last.line, key) !== null;
    return holds ? last.size : 0;
  }
}
