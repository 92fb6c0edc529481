/** N2: "anchored" is said only after a time-stamp authority's signature verifies against a configured certificate. */
import { afterEach, expect } from "bun:test";
import { timestampQuery } from "../../src/ledger/anchor/timestamp/query.ts";
import { until } from "../e2e/upstream-server.ts";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { verifyLedger } from "../independent/verify.ts";
import { payloadOf, readCheckpoints, readRows, withDatabase } from "../ledger/forge.ts";
import {
  granting,
  nonceOf,
  startTimestampServer,
  TestAuthority,
  type TimestampServer,
} from "../ledger/timestamp-server.ts";
import { startWitness, type WitnessServer } from "../ledger/witness-server.ts";
import { requireTool } from "../require-tool.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

const test = requireTool("openssl", "apt-get install openssl");

const open: (AsyncDisposable | Disposable)[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse())
    if (Symbol.asyncDispose in one) await one[Symbol.asyncDispose]();
    else one[Symbol.dispose]();
});
function kept<T extends AsyncDisposable | Disposable>(one: T): T {
  open.push(one);
  return one;
}

interface Stamping {
  readonly authority: TestAuthority;
  readonly server: TimestampServer;
}

function stamping(commonName = "Test Stamper"): Stamping {
  const authority = kept(new TestAuthority({ commonName }));
  return { authority, server: kept(startTimestampServer(authority)) };
}

async function gateWith(
  stampers: readonly Stamping[],
  { evidence = "", more = "" }: { readonly evidence?: string; readonly more?: string } = {},
): Promise<GateProcess> {
  const config = [
    "[evidence]",
    "checkpoint_seconds = 0.1",
    evidence,
    ...stampers.map(
      ({ server }, i) =>
        `[[evidence.timestamps]]\nname = "tsa${i}"\nurl = "${server.url}"\ntrust_file = "tsa${i}.pem"\nunsafe_http = true`,
    ),
    more,
  ].join("\n");
  const files = Object.fromEntries(
    stampers.map(({ authority }, i) => [`.latchgate/tsa${i}.pem`, authority.root]),
  );
  return kept(
    await startGate({ policy: openPolicy(), files: { "README.md": "# hello\n", ...files }, config }),
  );
}

const payloads = (gate: GateProcess) => readRows(gate.ledger).map(payloadOf);
const anchoredEntries = (gate: GateProcess) =>
  payloads(gate).filter(({ type }) => type === "checkpoint.anchored");
const anchored = (gate: GateProcess) =>
  until(
    () => Bun.sleep(5).then(() => anchoredEntries(gate)),
    (entries) => entries.length > 0,
  );
const said = (gate: GateProcess, text: string) =>
  until(
    () => Bun.sleep(5).then(() => gate.stderr()),
    (lines) => lines.includes(text),
  );

async function statusOf(gate: GateProcess) {
  const operator = await WireOperator.of(gate);
  return (await operator.call("GET", "/v1/admin/status")).body.evidence;
}

/** Verifies with certificates in a file of their own; nothing of the gate's is relied on. */
async function verifyWith(gate: GateProcess, pems: readonly string[], ...more: readonly string[]) {
  const flags: string[] = [];
  for (const [i, pem] of pems.entries()) {
    await Bun.write(`${gate.root}/auditor${i}.pem`, pem);
    flags.push("--tsa", `${gate.root}/auditor${i}.pem`);
  }
  const words = ["verify", gate.ledger, "--trust", gate.fingerprint, ...flags, ...more];
  const json = await gate.run(...words, "--json");
  const text = await gate.run(...words);
  return { code: json.code, report: JSON.parse(json.stdout), text: text.stdout };
}

test("an honest authority: the log, the status and verify say so, and openssl says the same of the stored token", async () => {
  const stamper = stamping("Honest \u001b[31m Stamper");
  const gate = await gateWith([stamper]);
  const agent = await WireAgent.connect(gate.clientSocket, { maxCalls: 5 });
  await agent.execute("fs_read", { path: "README.md" });
  const [entry] = await anchored(gate);
  expect(entry).toMatchObject({ quorum: 1, cosignatures: [{ kind: "rfc3161", authority: "tsa0" }] });
  const receipt = payloads(gate).findIndex(({ type }) => type === "call.receipt");
  // A checkpoint before the receipt may have been anchored already; after it, nothing more is written.
  const status = await until(
    () => Bun.sleep(5).then(() => statusOf(gate)),
    ({ anchored_to, checkpoint }) => anchored_to === checkpoint && anchored_to > receipt,
  );
  expect(status).toMatchObject({ anchored_by: ["tsa0"], timestamp_authorities: ["tsa0"], quorum: 1 });
  expect(await gate.stop()).toBe(0);

  const told = await verifyWith(gate, [stamper.authority.root]);
  expect(told.code).toBe(0);
  expect(told.report.verdict).toBe("intact");
  // The last checkpoint is stamped while the gate ends.
  expect(told.report.anchored_to).toBeGreaterThanOrEqual(status.anchored_to);
  const [stamp] = told.report.timestamps;
  expect(told.text).toContain(`the first ${stamp.size} entries are time-stamped at ${stamp.time} by Honest `);
  expect(told.text).not.toContain("\u001b");
  expect(told.text).not.toContain("the log's own clock");
  // A verifier that knows nothing of time stamps takes the log as it is.
  expect(verifyLedger(gate.ledger, gate.fingerprint)).toMatchObject({ verdict: "intact", faults: [] });

  const { cosignatures, size } = entry as unknown as {
    readonly size: number;
    readonly cosignatures: readonly { readonly token: string }[];
  };
  const note = readCheckpoints(gate.ledger).find((checkpoint) => checkpoint.size === size)?.note ?? "";
  const token = Buffer.from(cosignatures[0]?.token ?? "", "base64url");
  expect(stamper.authority.verifies(token, note.slice(0, note.indexOf("\n\n") + 1))).toBe(true);

  // Somebody whom the auditor does not rely on has said nothing; nor has anybody when nobody is named.
  const twin = kept(new TestAuthority());
  for (const pems of [[], [twin.root], [stamper.authority.root, twin.root]]) {
    const { report, text } = await verifyWith(gate, pems);
    expect(report).toMatchObject({ verdict: "intact", anchored_to: null });
    expect(text).not.toContain("are anchored");
    expect(text.includes("not anchored")).toBe(pems.length > 0);
  }
  expect(payloads(gate).find(({ type }) => type === "gate.started")?.unsafe).toEqual(["unsafe_http"]);
});

test("a time stamp that the auditor kept shows a cut, an older copy, and another log", async () => {
  const stamper = stamping();
  const gate = await gateWith([stamper]);
  await anchored(gate);
  expect(await gate.stop()).toBe(0);
  const { size = 0, note = "" } = readCheckpoints(gate.ledger).at(-1) ?? {};
  const text = note.slice(0, note.indexOf("\n\n") + 1);
  const { root } = stamper.authority;
  // As an auditor would keep it: the token alone, or the reply that it came in.
  const reply = stamper.authority.reply(timestampQuery(text, 1n, null));
  const [tsr, token, foreign] = ["kept.tsr", "kept.der", "foreign.der"].map((name) => `${gate.root}/${name}`);
  if (tsr === undefined || token === undefined || foreign === undefined) throw new Error("no files");
  await Bun.write(tsr, reply);
  await Bun.write(token, stamper.authority.forge({ text }));
  await Bun.write(foreign, kept(new TestAuthority()).forge({ text }));
  for (const file of [tsr, token])
    expect((await verifyWith(gate, [root], "--anchor", file)).report).toMatchObject({
      verdict: "intact",
      anchored_to: size,
    });
  const refusal = async (...words: readonly string[]) => {
    const { code, stderr } = await gate.run("verify", gate.ledger, ...words);
    return { code, stderr };
  };
  const vouched = ["--tsa", `${gate.root}/auditor0.pem`];
  for (const words of [
    ["--anchor", token],
    [...vouched, "--anchor", foreign],
  ])
    expect(await refusal(...words)).toEqual({
      code: 1,
      stderr: expect.stringContaining("no certificate of --tsa vouches for this time stamp"),
    });
  await Bun.write(
    foreign,
    (await Bun.file(token).bytes()).map((byte, at) => (at === 600 ? byte ^ 1 : byte)),
  );
  expect((await refusal(...vouched, "--anchor", foreign)).code).toBe(1);
  expect((await refusal(...vouched, "--anchor", token, "--since", `${size} ${"0".repeat(64)}`)).code).toBe(2);

  // Its end cut off, with all that tells of it.
  withDatabase(gate.ledger, (db) => {
    for (const table of ["checkpoints", "timestamps"]) db.run(`DELETE FROM ${table} WHERE size = ${size}`);
    db.run(`DELETE FROM entries WHERE seq >= ${size - 1}`);
    db.run("DELETE FROM nodes WHERE (idx + 1) * (1 << level) > (SELECT count(*) FROM entries)");
  });
  expect((await verifyWith(gate, [root])).report).toMatchObject({ verdict: "intact" });
  expect((await verifyWith(gate, [root], "--anchor", tsr)).report).toMatchObject({
    exit_code: 12,
    first_damage: { kind: "anchor" },
  });
});

test("an authority that signs with another key anchors nothing anywhere", async () => {
  const stamper = stamping();
  const twin = kept(new TestAuthority());
  stamper.server.misbehave((query) => twin.reply(query));
  const gate = await gateWith([stamper]);
  await stamper.server.asked(3);
  await said(gate, "timestamp_unverified");
  expect(anchoredEntries(gate)).toEqual([]);
  expect(await statusOf(gate)).toMatchObject({ anchored_to: null, anchored_by: [] });
  expect(await gate.stop()).toBe(0);
  for (const { root } of [stamper.authority, twin])
    expect((await verifyWith(gate, [root])).report).toMatchObject({
      verdict: "intact",
      anchored_to: null,
      timestamps: [],
    });
});

test("a stamp of an earlier checkpoint does not stand for a later one", async () => {
  const stamper = stamping();
  let first: Buffer | null = null;
  stamper.server.misbehave((_, honest) => {
    first ??= honest();
    return first;
  });
  const gate = await gateWith([stamper]);
  const [entry] = await anchored(gate);
  const agent = await WireAgent.connect(gate.clientSocket, { maxCalls: 5 });
  await agent.execute("fs_read", { path: "README.md" });
  await said(gate, "it stamped something else");
  expect((await statusOf(gate)).anchored_to).toBe(entry?.size);
  expect(anchoredEntries(gate)).toHaveLength(1);
});

test("a quorum of an authority and a witness takes both", async () => {
  const stamper = stamping();
  const logKeys = new Map<string, Uint8Array>();
  const witness: WitnessServer = kept(startWitness({ logKey: (origin) => logKeys.get(origin) ?? null }));
  const gate = await gateWith([stamper], {
    more: `[[evidence.witnesses]]\nurl = "${witness.url}"\nvkey = "${witness.identity.vkey}"\nunsafe_http = true`,
  });
  // The witness does not know the log yet.
  await Promise.all([stamper.server.asked(1), witness.asked(3)]);
  expect(anchoredEntries(gate)).toEqual([]);
  expect(await statusOf(gate)).toMatchObject({ quorum: 2, anchored_to: null });
  const opened = payloads(gate)[0] as { log: string; keys: { checkpoint: { x: string } } };
  logKeys.set(`latchgate/${opened.log}`, Buffer.from(opened.keys.checkpoint.x, "base64url"));
  const [entry] = await anchored(gate);
  expect(entry?.cosignatures).toHaveLength(2);
  expect((await statusOf(gate)).anchored_by.sort()).toEqual(["tsa0", "witness.example/w1"]);
  expect(await gate.stop()).toBe(0);
  const { root } = stamper.authority;
  for (const more of [[], ["--witness", witness.identity.vkey]])
    expect((await verifyWith(gate, [root], ...more)).report.anchored_to).toBeGreaterThan(0);
});

test("a quorum of two is not met by one, nor by a stamp that was planted in the table", async () => {
  const [honest, liar] = [stamping("One"), stamping("Two")];
  const twin = kept(new TestAuthority({ commonName: "Two" }));
  liar.server.misbehave((query) => twin.reply(query));
  const gate = await gateWith([honest, liar]);
  await Promise.all([honest.server.asked(1), liar.server.asked(2)]);
  expect(anchoredEntries(gate)).toEqual([]);
  await gate.kill();
  withDatabase(gate.ledger, (db) => {
    for (const { size, note } of readCheckpoints(gate.ledger))
      db.query("INSERT OR REPLACE INTO timestamps VALUES (?, 'tsa1', ?, ?, ?)").run(
        size,
        `sha256:${"0".repeat(64)}`,
        Date.now(),
        twin.forge({ text: note.slice(0, note.indexOf("\n\n") + 1) }),
      );
    db.run("DELETE FROM timestamps WHERE authority = 'tsa0'");
  });
  const asked = honest.server.seen.length;
  const again = kept(await gate.restart());
  await honest.server.asked(asked + 1);
  await liar.server.asked(liar.server.seen.length + 1);
  expect(await statusOf(again)).toMatchObject({ anchored_to: null });
  expect(await again.stop()).toBe(0);
  expect(anchoredEntries(again)).toEqual([]);
  // What was planted is found.
  expect((await verifyWith(again, [honest.authority.root])).report).toMatchObject({
    exit_code: 13,
    first_damage: { kind: "side_table" },
  });
});

test("an authority whose clock is far from the gate's: kept, told to the operator and to the auditor", async () => {
  const stamper = stamping();
  const far = new Date(Date.now() + 100 * 86_400_000);
  const place = { ledger: "" };
  stamper.server.misbehave((query, honest) => {
    if (place.ledger === "") return honest();
    // Which text it is asked to stamp, only the ledger tells.
    const texts = readCheckpoints(place.ledger).map(({ note }) => note.slice(0, note.indexOf("\n\n") + 1));
    const text = texts.find((one) => query.includes(new Bun.CryptoHasher("sha256").update(one).digest()));
    return granting(stamper.authority.forge({ text: text ?? "", time: far, nonce: nonceOf(query) }));
  });
  const gate = await gateWith([stamper]);
  place.ledger = gate.ledger;
  const agent = await WireAgent.connect(gate.clientSocket, { maxCalls: 5 });
  await agent.execute("fs_read", { path: "README.md" });
  await said(gate, "timestamp_clock: tsa0");
  await until(
    () => Bun.sleep(5).then(() => anchoredEntries(gate)),
    (entries) => JSON.stringify(entries).includes(`"time":"${far.toISOString().slice(0, 19)}.000Z"`),
  );
  expect(await gate.stop()).toBe(0);
  const { report, text } = await verifyWith(gate, [stamper.authority.root]);
  expect(report).toMatchObject({
    exit_code: 0,
    timestamps: [{ time: `${far.toISOString().slice(0, 19)}.000Z` }],
  });
  expect(text).toContain("; the log's own clock said ");
});

test("with an interval, not every checkpoint is stamped", async () => {
  const stamper = stamping();
  const gate = await gateWith([stamper], {
    evidence: "checkpoint_entries = 1",
    more: "interval_s = 3600",
  });
  await anchored(gate);
  const agent = await WireAgent.connect(gate.clientSocket, { maxCalls: 20 });
  for (let i = 0; i < 5; i++) await agent.execute("fs_read", { path: "README.md" });
  expect(await gate.stop()).toBe(0);
  expect(readCheckpoints(gate.ledger).length).toBeGreaterThan(3);
  expect(stamper.server.seen).toHaveLength(1);
});

const ENTRY = '[[evidence.timestamps]]\nname = "a"\nurl = "https://127.0.0.1:1/"\ntrust_file = "a.pem"';
const refusals: readonly (readonly [string, string, (pem: string) => string])[] = [
  ["plain http without saying so", ENTRY.replace("https", "http"), (pem) => pem],
  ["no certificates", ENTRY, () => "nothing"],
  ["a certificate that is none", ENTRY, (pem) => pem.replace(/[A-Z]{3}/, "AAA")],
  ["one name twice", `${ENTRY}\n${ENTRY}`, (pem) => pem],
  ["one certificate for two", `${ENTRY}\n${ENTRY.replace('"a"', '"b"')}`, (pem) => pem],
  ["a quorum that can't be met", `[evidence]\nquorum = 2\n${ENTRY}`, (pem) => pem],
  ["a policy that is none", `${ENTRY}\npolicy = "1.2.x"`, (pem) => pem],
];
for (const [what, config, change] of refusals)
  test(`the gate does not start with ${what}`, async () => {
    const { root } = kept(new TestAuthority());
    const started = startGate({ config, files: { ".latchgate/a.pem": change(root) } });
    await expect(started).rejects.toThrow("config_invalid");
  });
