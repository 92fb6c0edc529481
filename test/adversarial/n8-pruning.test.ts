/** N8: prune with the tool, then verify passes; prune by hand, it fails. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readRows, withDatabase } from "../ledger/forge.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const BODY = "a body that nobody should find again";

async function lived(config = "") {
  const gate = await startGate({
    policy: openPolicy(),
    files: { "README.md": BODY, "src/a.txt": "old" },
    config,
  });
  const agent = await WireAgent.connect(gate.clientSocket);
  const first = await agent.execute("fs_read", { path: "README.md" }, { "idempotency-key": "once" });
  expect(first.status).toBe(200);
  const held = await agent.execute("fs_write", { path: "src/a.txt", content: "held" });
  expect(held.status).toBe(202);
  return { gate, agent, first, approval: held.body.approval_id as string };
}

async function verify(gate: GateProcess): Promise<{ code: number; report: Record<string, unknown> }> {
  const payloads = join(gate.dir, "payloads.db");
  const words = [
    "verify",
    gate.ledger,
    "--trust",
    gate.fingerprint,
    "--payloads",
    payloads,
    "--strict",
    "--json",
  ];
  const { code, stdout } = await gate.run(...words);
  return { code, report: JSON.parse(stdout) };
}

const stored = (gate: GateProcess) =>
  withDatabase(join(gate.dir, "payloads.db"), (db) =>
    db
      .query<{ commitment: string }, []>(
        "SELECT commitment FROM payloads JOIN payload_keys USING (commitment)",
      )
      .all(),
  ).map(({ commitment }) => commitment);

test("N8: pruned with the tool: bodies are gone, a held call is kept, proofs stand, and later answers say so", async () => {
  const { gate, agent, first, approval } = await lived();
  expect(await verify(gate)).toMatchObject({ code: 0, report: { pruned: 0 } });
  const before = stored(gate);
  expect(before).toHaveLength(3);
  expect((await gate.run("audit", "prune")).code).toBe(2);
  const done = await gate.run("audit", "prune", "--yes", "--json");
  expect({ code: done.code, answer: JSON.parse(done.stdout) }).toMatchObject({
    code: 0,
    answer: { payloads: 2 },
  });
  expect(stored(gate)).toHaveLength(1);
  expect(await verify(gate)).toMatchObject({ code: 0, report: { verdict: "intact", pruned: 2 } });
  const replay = await agent.execute("fs_read", { path: "README.md" }, { "idempotency-key": "once" });
  expect(replay).toMatchObject({
    status: 200,
    body: { receipt_id: first.body.receipt_id, replayed: true, output: null, output_pruned: true },
  });
  expect((await agent.receipt(first.body.receipt_id)).body).toMatchObject({
    output_pruned: true,
    signature_status: "valid",
  });
  // What waited can still run as it was approved; afterwards its bodies go as well.
  expect((await (await WireOperator.of(gate)).approve(approval)).status).toBe(200);
  expect(readFileSync(join(gate.root, "src/a.txt"), "utf8")).toBe("held");
  expect((await gate.run("audit", "prune", "--yes")).code).toBe(0);
  const polled = await agent.call("GET", `/v1/approvals/${approval}/poll`, "");
  expect(polled.body).toMatchObject({ status: "approved", output: null, output_pruned: true });
  await gate.stop();
  expect(stored(gate)).toEqual([]);
  const entry = readRows(gate.ledger)
    .map(payloadOf)
    .find(({ type }) => type === "payload.pruned");
  expect(entry).toMatchObject({ payloads: 2, cause: "operator", operator: { id: "default" } });
  // Neither file holds a body or a key; nor is there a trace of what was sealed.
  for (const name of ["ledger.db", "ledger.db-wal", "payloads.db", "payloads.db-wal"]) {
    const path = join(gate.dir, name);
    if (existsSync(path)) expect(readFileSync(path).includes(BODY)).toBe(false);
  }
  const ledger = readFileSync(gate.ledger);
  expect(ledger.includes("PRIVATE KEY")).toBe(false);
  for (const commitment of before)
    expect(readFileSync(join(gate.dir, "payloads.db")).includes(commitment)).toBe(false);
  await gate[Symbol.asyncDispose]();
}, 30_000);

test("N8: pruned in the files of a stopped gate, and a payload that a copy brought back is destroyed at the next start", async () => {
  const { gate } = await lived();
  await gate.stop();
  const path = join(gate.dir, "payloads.db");
  const copy = readFileSync(path);
  const done = await gate.run("audit", "prune", "--yes", "--json");
  expect({ code: done.code, note: done.stderr }).toMatchObject({
    code: 0,
    note: expect.stringContaining("no gate is running"),
  });
  expect(stored(gate)).toHaveLength(1);
  await Bun.write(path, copy);
  expect(stored(gate)).toHaveLength(3);
  const restarted = await gate.restart();
  expect(stored(restarted)).toHaveLength(1);
  expect((await verify(restarted)).code).toBe(0);
  await restarted[Symbol.asyncDispose]();
}, 30_000);

test("N8: pruned by hand: each way is found", async () => {
  const { gate } = await lived();
  expect((await gate.run("audit", "prune", "--yes")).code).toBe(0);
  expect(
    (await (await WireAgent.connect(gate.clientSocket)).execute("fs_read", { path: "README.md" })).status,
  ).toBe(200);
  await gate.stop();
  const at = readRows(gate.ledger).findIndex((row) => payloadOf(row).type === "payload.pruned");
  const payloads = join(gate.dir, "payloads.db");
  const original = { ledger: readFileSync(gate.ledger), payloads: readFileSync(payloads) };
  for (const [file, sql, code] of [
    [gate.ledger, "SELECT 1", 0],
    [gate.ledger, "DELETE FROM entries WHERE seq = 2", 10],
    [gate.ledger, `DELETE FROM entries WHERE seq = ${at}`, 10],
    [gate.ledger, "DELETE FROM pruned WHERE commitment = (SELECT min(commitment) FROM pruned)", 13],
    [gate.ledger, "UPDATE pruned SET seq = seq + 1", 13],
    [gate.ledger, "DROP TABLE pruned", 13],
    [payloads, "DELETE FROM payloads", 13],
    [payloads, "DELETE FROM payload_keys", 13],
    [payloads, "UPDATE payloads SET sealed = zeroblob(80)", 13],
  ] as const) {
    await Bun.write(gate.ledger, original.ledger);
    await Bun.write(payloads, original.payloads);
    withDatabase(file, (db) => db.run(sql));
    expect({ sql, code: (await verify(gate)).code }).toEqual({ sql, code });
  }
  // A payload taken by hand and then written down as pruned: the signed digest is of another list.
  await Bun.write(gate.ledger, original.ledger);
  const taken = stored(gate)[0] ?? "";
  withDatabase(payloads, (db) => db.query("DELETE FROM payloads WHERE commitment = ?").run(taken));
  withDatabase(gate.ledger, (db) => db.query("INSERT INTO pruned VALUES (?, ?)").run(taken, at));
  expect((await verify(gate)).code).toBe(13);
  await gate[Symbol.asyncDispose]();
}, 60_000);

test("only an operator prunes, and only up to a time", async () => {
  const { gate, agent } = await lived();
  const body = '{"before":"2999-01-01T00:00:00.000Z"}';
  expect((await agent.call("POST", "/v1/admin/prune-payloads", body)).status).toBe(404);
  const operator = await WireOperator.of(gate);
  for (const wrong of ["", "{}", '{"before":1}', '{"before":"now"}', "[]"])
    expect((await operator.call("POST", "/v1/admin/prune-payloads", wrong)).status).toBe(400);
  const past = await operator.call(
    "POST",
    "/v1/admin/prune-payloads",
    '{"before":"2001-01-01T00:00:00.000Z"}',
  );
  expect(past).toMatchObject({ status: 200, body: { payloads: 0 } });
  expect(stored(gate)).toHaveLength(3);
  expect(readRows(gate.ledger).map((row) => payloadOf(row).type)).not.toContain("payload.pruned");
  await gate[Symbol.asyncDispose]();
});
