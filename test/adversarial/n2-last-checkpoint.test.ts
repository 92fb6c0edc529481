/** N2: what a gate says at its end is anchored before it is gone, when the witnesses are there. */
import { expect, test } from "bun:test";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { openPolicy, startGate } from "../gate-process.ts";
import { payloadOf, readRows } from "../ledger/forge.ts";
import { startWitness, WitnessIdentity } from "../ledger/witness-server.ts";
import { WireAgent } from "../wire-client.ts";

const configOf = (url: string, { vkey }: WitnessIdentity) =>
  `[evidence]\ncheckpoint_seconds = 3600\n[[evidence.witnesses]]\nurl = "${url}"\nvkey = "${vkey}"\nunsafe_http = true`;

test("the checkpoint of a clean end covers its last entry and is cosigned", async () => {
  const keys = new Map<string, Uint8Array>();
  await using witness = startWitness({ name: "w.example", logKey: (origin) => keys.get(origin) ?? null });
  const setup = { policy: openPolicy(), files: { "README.md": "# hello\n" } };
  await using gate = await startGate({ ...setup, config: configOf(witness.url, witness.identity) });
  const opened = payloadOf(readRows(gate.ledger)[0] ?? { jws: "" }) as {
    log: string;
    keys: { checkpoint: { x: string } };
  };
  keys.set(`latchgate/${opened.log}`, Buffer.from(opened.keys.checkpoint.x, "base64url"));
  const agent = await WireAgent.connect(gate.clientSocket);
  expect((await agent.execute("fs_read", { path: "README.md" })).status).toBe(200);
  expect(await gate.stop()).toBe(0);
  const entries = readRows(gate.ledger).map(payloadOf);
  const stopped = entries.findIndex(({ type }) => type === "gate.stopped");
  expect(entries.at(-1)).toMatchObject({ type: "checkpoint.anchored", size: stopped + 1 });
  const flags = ["--trust", gate.fingerprint, "--witness", witness.identity.vkey, "--json"];
  const { code, stdout } = await gate.run("verify", gate.ledger, ...flags);
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, anchored_to: stopped + 1 });
});

test("a witness that does not answer keeps no gate from ending, and nothing is called anchored", async () => {
  const asked = Promise.withResolvers<void>();
  const silent = createServer(() => asked.resolve());
  await new Promise<void>((ready) => silent.listen(0, "127.0.0.1", ready));
  const { port } = silent.address() as AddressInfo; // listens on an address of this machine
  try {
    const config = configOf(`http://127.0.0.1:${port}`, new WitnessIdentity("w.example"));
    await using gate = await startGate({ policy: openPolicy(), config });
    expect(await gate.stop()).toBe(0);
    await asked.promise;
    const entries = readRows(gate.ledger).map(payloadOf);
    expect(entries.at(-1)?.type).toBe("gate.stopped");
    expect((await gate.run("verify", gate.ledger, "--trust", gate.fingerprint)).code).toBe(0);
  } finally {
    silent.closeAllConnections();
    silent.close();
  }
}, 60_000);
