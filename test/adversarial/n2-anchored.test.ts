/** N2: "anchored" is said only after a witness's cosignature verifies against a configured key. */
import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../e2e/upstream-server.ts";
import { type GateProcess, type GateSetup, openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readRows, withDatabase } from "../ledger/forge.ts";
import { startWitness, WitnessIdentity, type WitnessServer } from "../ledger/witness-server.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** Takes the key of whichever log comes: which log it is, these tests know. */
const logKeys = new Map<string, Uint8Array>();
function witness(name: string): WitnessServer {
  const server = startWitness({ name, logKey: (origin) => logKeys.get(origin) ?? null });
  open.push(server);
  return server;
}

async function gateWith(
  witnesses: readonly WitnessServer[],
  more = "",
  setup: GateSetup = {},
): Promise<GateProcess> {
  const config = [
    "[evidence]",
    "checkpoint_seconds = 0.1",
    more,
    ...witnesses.map(
      ({ url, identity }) =>
        `[[evidence.witnesses]]\nurl = "${url}"\nvkey = "${identity.vkey}"\nunsafe_http = true`,
    ),
  ].join("\n");
  const gate = await startGate({
    policy: openPolicy(),
    files: { "README.md": "# hello\n" },
    ...setup,
    config,
  });
  open.push(gate);
  const opened = payloadOf(readRows(gate.ledger)[0] ?? { jws: "" }) as {
    log: string;
    keys: { checkpoint: { x: string } };
  };
  logKeys.set(`latchgate/${opened.log}`, Buffer.from(opened.keys.checkpoint.x, "base64url"));
  return gate;
}

const anchoredEntries = (gate: GateProcess) =>
  readRows(gate.ledger)
    .map(payloadOf)
    .filter(({ type }) => type === "checkpoint.anchored");

async function statusOf(gate: GateProcess) {
  const operator = await WireOperator.of(gate);
  return (await operator.call("GET", "/v1/admin/status")).body.evidence;
}

async function verifyWith(gate: GateProcess, vkey: string) {
  const { code, stdout } = await gate.run(
    "verify",
    gate.ledger,
    "--trust",
    gate.fingerprint,
    "--witness",
    vkey,
    "--json",
  );
  return { code, ...JSON.parse(stdout) };
}

test("an honest witness: the log, the status and verify say so, and the proof carries its cosignature", async () => {
  const server = witness("witness.example/w1");
  const gate = await gateWith([server]);
  const agent = await WireAgent.connect(gate.clientSocket, { maxCalls: 5 });
  const { receipt_id } = (await agent.execute("fs_read", { path: "README.md" })).body;
  await until(
    () => Bun.sleep(5).then(() => anchoredEntries(gate)),
    (entries) => entries.length > 0,
  );
  expect(anchoredEntries(gate)[0]).toMatchObject({
    quorum: 1,
    cosignatures: [{ witness: "witness.example/w1" }],
  });
  const receipt = readRows(gate.ledger).findIndex((row) => payloadOf(row).receipt_id === receipt_id);
  // A checkpoint before the receipt may have been anchored already.
  const status = await until(
    () => Bun.sleep(5).then(() => statusOf(gate)),
    ({ anchored_to, checkpoint }) => anchored_to === checkpoint && anchored_to > receipt,
  );
  expect(status).toMatchObject({ anchored_by: ["witness.example/w1"], quorum: 1 });
  const proof = await agent.call("GET", `/v1/receipts/${receipt_id}/proof`);
  expect(proof.text).toContain("\n— witness.example/w1 ");
  expect(await gate.stop()).toBe(0);
  const told = await verifyWith(gate, server.identity.vkey);
  expect(told).toMatchObject({ code: 0, verdict: "intact", anchored_to: server.size() });
  // Somebody whom the auditor does not rely on has said nothing.
  expect(await verifyWith(gate, new WitnessIdentity("witness.example/w1").vkey)).toMatchObject({
    code: 0,
    anchored_to: null,
  });
  const started = readRows(gate.ledger)
    .map(payloadOf)
    .find(({ type }) => type === "gate.started");
  expect(started?.unsafe).toEqual(["unsafe_http"]);
});

test("checkpoints about checkpoints: an anchor alone makes no new one", async () => {
  const [honest, silent] = [witness("witness.example/w1"), witness("witness.example/w2")];
  silent.misbehave(() => new Response("", { status: 500 }));
  const gate = await gateWith([honest, silent], "quorum = 1");
  await until(
    () => Bun.sleep(5).then(() => anchoredEntries(gate)),
    (entries) => entries.length === 1,
  );
  const { checkpoint } = await statusOf(gate);
  // Who does not sign is asked again each time that the rhythm comes round: five rounds in which nothing may happen.
  const before = silent.seen.length;
  await silent.asked(before + 5);
  expect(new Set(silent.seen.slice(before).map(({ size }) => size))).toEqual(new Set([checkpoint]));
  expect((await statusOf(gate)).checkpoint).toBe(checkpoint);
  expect(anchoredEntries(gate)).toHaveLength(1);
});

test("a witness that signs with another key, or something else, anchors nothing anywhere", async () => {
  const server = witness("witness.example/w1");
  const twin = new WitnessIdentity("witness.example/w1");
  let turn = 0;
  server.misbehave((text) =>
    turn++ % 2 === 0
      ? new Response(twin.cosign(text))
      : new Response(server.identity.cosign(text.replace(/\n\d+\n/, "\n1\n"))),
  );
  const gate = await gateWith([server]);
  await server.asked(4);
  expect(anchoredEntries(gate)).toEqual([]);
  expect(await statusOf(gate)).toMatchObject({ anchored_to: null, anchored_by: [] });
  expect(gate.stderr()).toContain("witness_unverified");
  expect(await gate.stop()).toBe(0);
  for (const { vkey } of [server.identity, twin])
    expect(await verifyWith(gate, vkey)).toMatchObject({ verdict: "intact", anchored_to: null });
});

test("a quorum of two is not met by one, nor by a cosignature that was planted in the table", async () => {
  const [honest, liar] = [witness("witness.example/w1"), witness("witness.example/w2")];
  const twin = new WitnessIdentity("witness.example/w2");
  liar.misbehave((text) => new Response(twin.cosign(text)));
  const gate = await gateWith([honest, liar], "quorum = 2");
  await honest.asked(1);
  await liar.asked(2);
  expect(anchoredEntries(gate)).toEqual([]);
  await gate.kill();
  // As if the liar had cosigned each checkpoint, before the honest one is asked about the next.
  withDatabase(gate.ledger, (db) => {
    const x = Buffer.from(liar.identity.vkey.split("+").slice(2).join("+"), "base64").subarray(1);
    for (let size = 1; size < 40; size++)
      db.query("INSERT OR IGNORE INTO cosignatures VALUES (?, 'witness.example/w2', ?, 1, ?)").run(
        size,
        x.toString("base64url"),
        twin.cosign("planted\n").trimEnd(),
      );
  });
  const before = honest.seen.length;
  const again = await gate.restart();
  open.push(again);
  await honest.asked(before + 1);
  expect(await statusOf(again)).toMatchObject({ anchored_to: null });
  expect(await again.stop()).toBe(0);
  expect(anchoredEntries(again)).toEqual([]);
  // What was planted is found.
  expect(await verifyWith(again, honest.identity.vkey)).toMatchObject({
    code: 13,
    verdict: "damaged",
    first_damage: { kind: "side_table" },
  });
});

test("a status under other keys than those that cosigned does not call the log anchored", async () => {
  const server = witness("witness.example/w1");
  const gate = await gateWith([server]);
  await until(
    () => Bun.sleep(5).then(() => anchoredEntries(gate)),
    (entries) => entries.length > 0,
  );
  await gate.stop();
  const path = join(gate.dir, "latchgate.toml");
  const config = readFileSync(path, "utf8");
  await server[Symbol.asyncDispose]();
  await Bun.write(path, config.replace(server.identity.vkey, new WitnessIdentity("witness.example/w1").vkey));
  const again = await gate.restart();
  open.push(again);
  expect(await statusOf(again)).toMatchObject({ anchored_to: null, anchored_by: [] });
});

test("a witness that is ahead of a rolled-back log says so to the operator", async () => {
  const server = witness("witness.example/w1");
  const gate = await gateWith([server]);
  await until(
    () => Bun.sleep(5).then(() => anchoredEntries(gate)),
    (entries) => entries.length > 0,
  );
  const [origin = ""] = [...logKeys.keys()].slice(-1);
  server.remember(origin, 10_000, Buffer.alloc(32));
  const agent = await WireAgent.connect(gate.clientSocket, { maxCalls: 5 });
  await agent.execute("fs_read", { path: "README.md" });
  await until(
    () => Bun.sleep(5).then(() => gate.stderr()),
    (text) => text.includes("witness_ahead"),
  );
  expect((await statusOf(gate)).anchored_to).toBeLessThan(100);
});

test.each([
  ["plain http without saying so", (vkey: string) => `url = "http://127.0.0.1:1/w"\nvkey = "${vkey}"`],
  ["a key that is none", () => 'url = "https://127.0.0.1:1/w"\nvkey = "w+00000000+AAAA"'],
])("the gate does not start with %s", (_, entry) => {
  const { vkey } = new WitnessIdentity("witness.example/w1");
  expect(startGate({ config: `[[evidence.witnesses]]\n${entry(vkey)}` })).rejects.toThrow("config_invalid");
});

test("nor with a quorum that can't be met, or one key under two names", () => {
  const { vkey } = new WitnessIdentity("witness.example/w1");
  const entry = `[[evidence.witnesses]]\nurl = "https://127.0.0.1:1/w"\nvkey = "${vkey}"`;
  expect(startGate({ config: `[evidence]\nquorum = 2\n${entry}` })).rejects.toThrow("config_invalid");
  expect(startGate({ config: `${entry}\n${entry}` })).rejects.toThrow("config_invalid");
});
