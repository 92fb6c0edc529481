import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Config } from "../config/schema.ts";
import { messageOf } from "../core/errors.ts";
import type { Gate } from "../gate/gate.ts";
import { readVkey, verifyCosignature } from "../ledger/anchor/cosignature.ts";
import { askWitness, type Witness } from "../ledger/anchor/witness-client.ts";
import { parseCheckpoint } from "../ledger/checkpoint.ts";
import { consistencyProof } from "../ledger/proof/consistency.ts";
import { TreeStore } from "../ledger/tree-store.ts";
import { StartError } from "./start-error.ts";

interface ConfiguredWitness extends Witness {
  readonly vkey: string;
}

/** The witnesses of the configuration. Throws `config_invalid` when one could not be relied on. */
export function configuredWitnesses(dir: string, { evidence }: Config): readonly ConfiguredWitness[] {
  const invalid = (what: string) => new StartError("config_invalid", `evidence.witnesses: ${what}`);
  const keys = new Set<string>();
  const witnesses = evidence.witnesses.map(({ url, vkey, ca_file, unsafe_http }) => {
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
  if ((evidence.quorum ?? 0) > witnesses.length) throw invalid("the quorum is larger than their number");
  return witnesses;
}

/**
 * Submits each checkpoint to every witness, one submission at a time for each; of those that come meanwhile only the
 * newest. What fails is tried again with the next checkpoint, and on the clock.
 */
export class Anchoring {
  private readonly gate: Gate;
  private readonly report: (line: string) => void;
  private readonly witnesses: readonly ConfiguredWitness[];
  private readonly quorum: number;
  private readonly tree: TreeStore;
  private readonly busy = new Map<ConfiguredWitness, Promise<void>>();
  private readonly timer: NodeJS.Timeout;
  private closed = false;

  constructor(gate: Gate, witnesses: readonly ConfiguredWitness[], report: (line: string) => void) {
    this.gate = gate;
    this.report = report;
    this.witnesses = witnesses;
    this.quorum = gate.config.evidence.quorum ?? witnesses.length;
    this.tree = new TreeStore(gate.reader.db);
    this.timer = setInterval(() => this.submit(), gate.config.evidence.checkpoint_seconds * 1000);
    this.submit();
  }

  /** Looks for checkpoints that a witness has not cosigned yet. */
  submit(): void {
    if (this.closed) return;
    for (const witness of this.witnesses)
      if (!this.busy.has(witness)) {
        const work = this.catchUp(witness)
          .catch((error: unknown) => this.report(`witness ${witness.key.name}: ${messageOf(error)}`))
          .finally(() => this.busy.delete(witness));
        this.busy.set(witness, work);
      }
  }

  /** Until this witness has cosigned the newest checkpoint, or does not. */
  private async catchUp(witness: ConfiguredWitness): Promise<void> {
    for (let next = this.pending(witness); next !== null && !this.closed; next = this.pending(witness))
      if (!(await this.submitTo(witness, next))) return;
  }

  /** The newest checkpoint, when this witness has not cosigned it. */
  private pending({
    key,
  }: Witness): { readonly size: number; readonly note: string; readonly old: number } | null {
    const { db } = this.gate.reader;
    const newest = db
      .query<{ size: number; note: string }, []>(
        "SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1",
      )
      .get();
    const last = db
      .query<{ size: number; line: string; note: string }, [string]>(
        `SELECT size, line, note FROM cosignatures JOIN checkpoints USING (size)
         WHERE public_key = ? ORDER BY size DESC LIMIT 1`,
      )
      .get(key.x);
    // A row that somebody planted must not keep the witness from being asked.
    const text = last === null ? undefined : parseCheckpoint(last.note)?.text;
    const holds = last !== null && text !== undefined && verifyCosignature(text, last.line, key) !== null;
    const old = holds ? last.size : 0;
    return newest === null || newest.size <= old ? null : { ...newest, old };
  }

  private async submitTo(
    witness: ConfiguredWitness,
    { size, note, old }: { readonly size: number; readonly note: string; readonly old: number },
  ): Promise<boolean> {
    const { clock, config, ledger } = this.gate;
    if (parseCheckpoint(note)?.checkpoint.size !== size)
      throw new Error("the stored checkpoint is of another size");
    const answer = await askWitness(witness, {
      note,
      oldSize: old,
      proof: (from) => consistencyProof(from, size, this.tree.read),
      timeoutMs: config.evidence.witness_timeout_s * 1000,
      now: Math.floor(clock.now() / 1000),
    });
    if (this.closed) return false;
    if (answer.kind === "refused") {
      this.report(`${answer.code}: ${witness.key.name} at ${witness.url}: ${answer.detail}`);
      return false;
    }
    const outcome = await ledger.act("recordCosignature", {
      size,
      line: answer.cosignature.line,
      vkeys: this.witnesses.map(({ vkey }) => vkey),
      quorum: this.quorum,
    });
    return outcome !== "unverified";
  }

  /** At a clean end: the newest checkpoint goes to every witness once more, and they have that long to answer. */
  async finish(graceMs: number): Promise<void> {
    clearInterval(this.timer);
    this.submit();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, graceMs);
    await Promise.race([Promise.all(this.busy.values()), late.promise]);
    clearTimeout(timer);
    this.closed = true;
  }

  /** Waits for what is under way; nothing is submitted any more. */
  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.timer);
    await Promise.all(this.busy.values());
  }
}
