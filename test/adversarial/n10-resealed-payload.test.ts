import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openPolicy, startGate } from "../gate-process.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const NONCE = 12;
const TAG = 16;
const SALT = 32;

function unseal(sealed: Buffer, key: Uint8Array, commitment: string): Buffer {
  const cipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, NONCE))
    .setAAD(Buffer.from(commitment))
    .setAuthTag(sealed.subarray(-TAG));
  return Buffer.concat([cipher.update(sealed.subarray(NONCE, -TAG)), cipher.final()]);
}

function seal(plain: Buffer, key: Uint8Array, commitment: string): Buffer {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(commitment));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Seals another call in the place of the one that is held, as well as the gate itself could. Its files hold all that takes. */
function swapCall(path: string, commitment: string, change: (text: string) => string): void {
  const db = new Database(path, { readwrite: true, strict: true });
  try {
    const row = db
      .query<{ sealed: Uint8Array; key: Uint8Array }, [string]>(
        "SELECT sealed, key FROM payloads JOIN payload_keys USING (commitment) WHERE commitment = ?",
      )
      .get(commitment);
    if (row === null) throw new Error("the held call is not stored");
    const plain = unseal(Buffer.from(row.sealed), row.key, commitment);
    const text = plain.subarray(SALT).toString();
    const changed = change(text);
    expect(changed).not.toBe(text);
    const resealed = seal(
      Buffer.concat([plain.subarray(0, SALT), Buffer.from(changed)]),
      row.key,
      commitment,
    );
    expect(unseal(resealed, row.key, commitment).subarray(SALT).toString()).toBe(changed);
    db.query("UPDATE payloads SET sealed = ? WHERE commitment = ?").run(resealed, commitment);
  } finally {
    db.close();
  }
}

test("N10: a held call that was changed and sealed anew with its own key is neither shown nor run", async () => {
  await using gate = await startGate({ policy: openPolicy(), files: { "src/a.txt": "old" } });
  const agent = await WireAgent.connect(gate.clientSocket);
  const operator = await WireOperator.of(gate);
  const { approval_id: id } = (await agent.execute("fs_write", { path: "src/a.txt", content: "good" })).body;
  const ledger = new Database(gate.ledger, { readonly: true });
  const held = ledger.query<{ call: string }, []>("SELECT call FROM holds").get();
  ledger.close();
  const evil = (text: string) =>
    text.replaceAll(Buffer.from("good").toString("base64"), Buffer.from("evil").toString("base64"));
  swapCall(join(gate.dir, "payloads.db"), held?.call ?? "", evil);
  const shown = (await operator.call("GET", `/v1/approvals/${id}`)).body;
  expect([shown.approval_id, shown.plan, shown.plan_hash]).toEqual([id, undefined, undefined]);
  const refused = await operator.approve(id);
  expect([refused.status, refused.body.error]).toEqual([409, "conflict"]);
  expect(readFileSync(join(gate.root, "src/a.txt"), "utf8")).toBe("old");
  const { events } = (await operator.call("GET", "/v1/audit/events?type=call.granted")).body;
  expect(events).toEqual([]);
});
