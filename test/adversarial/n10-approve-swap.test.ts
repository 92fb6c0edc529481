import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SignJWT } from "jose";
import { fsText } from "../actions/manifests.ts";
import { UNHURRIED, until } from "../e2e/upstream-server.ts";
import { type GateProcess, openPolicy, startGate } from "../gate-process.ts";
import { freshKey, keyFromPem, WireAgent, type WireAnswer, WireOperator } from "../wire-client.ts";

let gate: GateProcess | null = null;
afterEach(async () => {
  await gate?.[Symbol.asyncDispose]();
  gate = null;
});

interface Scene {
  readonly gate: GateProcess;
  readonly agent: WireAgent;
  readonly operator: WireOperator;
}

async function start(setup: { readonly config?: string; readonly quorum?: number } = {}): Promise<Scene> {
  const approvals = setup.quorum === undefined ? {} : { approvals: { quorum: { high: setup.quorum } } };
  gate = await startGate({
    policy: openPolicy(undefined, approvals),
    config: `${UNHURRIED}\n${setup.config ?? ""}`,
    files: { "src/a.txt": "old a", "src/b.txt": "old b" },
  });
  return { gate, agent: await WireAgent.connect(gate.clientSocket), operator: await WireOperator.of(gate) };
}

const fileOf = (scene: Scene, name: string) => readFileSync(join(scene.gate.root, "src", name), "utf8");

async function holdWrite(scene: Scene, name: string): Promise<string> {
  const held = await scene.agent.execute("fs_write", { path: `src/${name}`, content: `new ${name}` });
  expect(held.status).toBe(202);
  return held.body.approval_id;
}

function tamper(
  path: string,
  ...statements: (readonly [sql: string, ...values: (string | number)[]])[]
): void {
  const db = new Database(path);
  try {
    db.run("PRAGMA busy_timeout = 5000");
    db.transaction(() => {
      for (const [sql, ...values] of statements) expect(db.run(sql, values).changes).toBe(1);
    })();
  } finally {
    db.close();
  }
}

/** The commitment of a held call. */
function callOf(at: GateProcess, id: string): string {
  using db = new Database(at.ledger, { readonly: true });
  return (
    db.query<{ call: string }, [string]>("SELECT call FROM holds WHERE approval_id = ?").get(id)?.call ?? ""
  );
}

async function receipts({ operator }: Scene): Promise<number> {
  return (await operator.call("GET", "/v1/audit/events?type=call.receipt")).body.events.length;
}

async function expectNothingRan(scene: Scene): Promise<void> {
  expect([fileOf(scene, "a.txt"), fileOf(scene, "b.txt")]).toEqual(["old a", "old b"]);
  expect(await receipts(scene)).toBe(0);
}

/** Rows of an approval as an attacker with the database at hand would change them, given it and another one. */
const SWAPS: readonly (readonly [what: string, swap: (scene: Scene, a: string, b: string) => void])[] = [
  [
    "the stored call of another approval",
    ({ gate: at }, a, b) =>
      tamper(at.ledger, [
        "UPDATE holds SET call = (SELECT call FROM holds WHERE approval_id = ?) WHERE approval_id = ?",
        b,
        a,
      ]),
  ],
  [
    "the stored call and the entry of another approval",
    ({ gate: at }, a, b) =>
      tamper(
        at.ledger,
        ["UPDATE holds SET seq = -seq WHERE approval_id = ?", b],
        [
          `UPDATE holds SET (seq, call) = (SELECT -seq, call FROM holds WHERE approval_id = ?) WHERE approval_id = ?`,
          b,
          a,
        ],
      ),
  ],
  [
    "a longer time to decide",
    ({ gate: at }, a) =>
      tamper(at.ledger, ["UPDATE holds SET expires_ms = expires_ms + 86400000 WHERE approval_id = ?", a]),
  ],
  [
    "another principal",
    ({ gate: at }, a) =>
      tamper(at.ledger, ["UPDATE holds SET principal = 'uid:4711' WHERE approval_id = ?", a]),
  ],
  [
    "another quorum",
    ({ gate: at }, a) => tamper(at.ledger, ["UPDATE holds SET quorum = 0 WHERE approval_id = ?", a]),
  ],
  [
    "the sealed payload of another approval",
    ({ gate: at }, a, b) => {
      const [ofA, ofB] = [callOf(at, a), callOf(at, b)];
      tamper(
        join(at.dir, "payloads.db"),
        [
          "UPDATE payloads SET sealed = (SELECT sealed FROM payloads WHERE commitment = ?) WHERE commitment = ?",
          ofB,
          ofA,
        ],
        [
          "UPDATE payload_keys SET key = (SELECT key FROM payload_keys WHERE commitment = ?) WHERE commitment = ?",
          ofB,
          ofA,
        ],
      );
    },
  ],
  [
    "a payload that is gone",
    ({ gate: at }, a) =>
      tamper(join(at.dir, "payloads.db"), ["DELETE FROM payloads WHERE commitment = ?", callOf(at, a)]),
  ],
];

describe("N10: approve A, execute A′ is refused", () => {
  test.each(SWAPS)("a hold whose row or payload was swapped for %s", async (_what, swap) => {
    const scene = await start();
    const a = await holdWrite(scene, "a.txt");
    const b = await holdWrite(scene, "b.txt");
    swap(scene, a, b);
    const refused = await scene.operator.approve(a);
    expect([refused.status, refused.body.error]).toEqual([409, "conflict"]);
    await expectNothingRan(scene);
    const polled = await scene.agent.poll(a);
    expect(polled.body.decision).toBeUndefined();
    expect((await scene.operator.call("GET", "/v1/audit/verify")).body.intact).toBe(true);
  });

  test("an untouched hold beside it is still good", async () => {
    const scene = await start();
    const [a, b] = [await holdWrite(scene, "a.txt"), await holdWrite(scene, "b.txt")];
    SWAPS[0]?.[1](scene, a, b);
    expect((await scene.operator.approve(a)).status).toBe(409);
    expect((await scene.operator.approve(b)).status).toBe(200);
    expect([fileOf(scene, "a.txt"), fileOf(scene, "b.txt")]).toEqual(["old a", "new b.txt"]);
  });
});

describe("N10: what changed between hold and approval", () => {
  async function restarted(scene: Scene, change: (dir: string) => unknown): Promise<Scene> {
    expect(await scene.gate.stop()).toBe(0);
    await change(scene.gate.dir);
    gate = await scene.gate.restart();
    return { ...scene, gate, operator: await WireOperator.of(gate) };
  }

  const manifest = (allow: string) =>
    fsText({
      id: "own_write",
      fs: {
        operation: "write",
        path: { $param: "path" },
        content: { text: { $param: "content" } },
        allow: [allow],
        max_file_kb: 16,
      },
    });

  test("an action with another manifest does not run under the old approval", async () => {
    const policy = openPolicy(undefined, { actions: ["own_write"] });
    gate = await startGate({
      policy,
      config: UNHURRIED,
      actions: { "own.yaml": manifest("src/**") },
      files: { "src/a.txt": "old a", "src/b.txt": "old b" },
    });
    const first = {
      gate,
      agent: await WireAgent.connect(gate.clientSocket),
      operator: await WireOperator.of(gate),
    };
    const held = await first.agent.execute("own_write", { path: "src/a.txt", content: "new" });
    expect(held.status).toBe(202);
    const scene = await restarted(first, (dir) => Bun.write(join(dir, "actions/own.yaml"), manifest("**")));
    const refused = await scene.operator.approve(held.body.approval_id);
    expect([refused.status, refused.body.error]).toEqual([403, "action_digest_mismatch"]);
    await expectNothingRan(scene);
    expect((await scene.agent.poll(held.body.approval_id)).body).toEqual({
      status: "failed",
      reason: "action_digest_mismatch",
    });
    expect((await scene.operator.approve(held.body.approval_id)).body.decision).toBe("already_failed");
  });

  test("an approval does not overrule a policy that denies by now", async () => {
    const first = await start();
    const id = await holdWrite(first, "a.txt");
    const nothing = {
      policy_version: "2",
      acl: { [`uid:${process.getuid?.()}`]: { allowed_actions: [], allowed_sinks: [] } },
    };
    const scene = await restarted(first, (dir) =>
      Bun.write(join(dir, "policies/data.json"), JSON.stringify(nothing)),
    );
    const refused = await scene.operator.approve(id);
    expect([refused.status, refused.body.error]).toEqual([403, "policy_denied"]);
    await expectNothingRan(scene);
    expect((await scene.agent.poll(id)).body).toEqual({ status: "failed", reason: "policy_denied" });
  });

  test("with nothing changed the same hold is good after a restart", async () => {
    const first = await start();
    const id = await holdWrite(first, "a.txt");
    const scene = await restarted(first, () => undefined);
    expect((await scene.operator.approve(id)).status).toBe(200);
    expect(fileOf(scene, "a.txt")).toBe("new a.txt");
  });
});

describe("N10: a signed statement is about one call", () => {
  interface Changes {
    readonly payload?: Readonly<Record<string, unknown>>;
    readonly header?: Readonly<Record<string, unknown>>;
    readonly foreignKey?: boolean;
  }

  async function statement(scene: Scene, id: string, changes: Changes = {}): Promise<string> {
    const shown = (await scene.operator.call("GET", `/v1/approvals/${id}`)).body;
    const own = await keyFromPem(scene.gate.operatorKey);
    const signer = changes.foreignKey === true ? await freshKey() : own;
    const now = Math.floor(Date.now() / 1000);
    return new SignJWT({
      ...shown.to_sign,
      decision: "approve",
      nonce: crypto.randomUUID(),
      iat: now,
      exp: now + 60,
      ...changes.payload,
    })
      .setProtectedHeader({ alg: "ES256", typ: "latchgate-approval+jws", jwk: signer.jwk, ...changes.header })
      .sign(signer.key);
  }

  const approveWith = (scene: Scene, id: string, text: string): Promise<WireAnswer> =>
    scene.operator.call("POST", `/v1/approvals/${id}/approve`, JSON.stringify({ statement: text }));

  const elsewhere = "01a205ba-0000-7000-8000-000000000000";
  test.each([
    ["another call", { payload: { call: "0".repeat(64) } }, 409],
    ["another place in the log", { payload: { seq: 1 } }, 409],
    ["another log", { payload: { log: elsewhere } }, 409],
    ["another approval", { payload: { approval_id: elsewhere } }, 409],
    ["a member more", { payload: { plan_hash: "x" } }, 400],
    ["the other decision", { payload: { decision: "deny" } }, 409],
    ["a time that is over", { payload: { exp: 1 } }, 400],
    ["a time to come", { payload: { iat: 99_999_999_999, exp: 99_999_999_999 } }, 400],
    ["no nonce", { payload: { nonce: "" } }, 400],
    ["a key that is not the operator's", { foreignKey: true }, 400],
    ["another type", { header: { typ: "JWT" } }, 400],
    ["a header with more in it", { header: { kid: "x" } }, 400],
  ] as [string, Changes, number][])("a statement with %s is refused", async (_what, changes, status) => {
    const scene = await start();
    const id = await holdWrite(scene, "a.txt");
    const refused = await approveWith(scene, id, await statement(scene, id, changes));
    expect([refused.status, refused.body.error]).toEqual([
      status,
      status === 409 ? "conflict" : "bad_statement",
    ]);
    await expectNothingRan(scene);
    expect((await scene.agent.poll(id)).body.status).toBe("pending");
  });

  test("the statement about A does not approve A′; about A it does, and stands in the log", async () => {
    const scene = await start();
    const [a, b] = [await holdWrite(scene, "a.txt"), await holdWrite(scene, "b.txt")];
    const text = await statement(scene, a);
    expect((await approveWith(scene, b, text)).status).toBe(409);
    expect((await approveWith(scene, a, text)).status).toBe(200);
    expect([fileOf(scene, "a.txt"), fileOf(scene, "b.txt")]).toEqual(["new a.txt", "old b"]);
    const { events } = (await scene.operator.call("GET", "/v1/audit/events?type=approval.decided")).body;
    expect(events).toMatchObject([
      { statement: text, operator: { id: "default", method: "signed_statement" } },
    ]);
  });
});

describe("N10: who decides", () => {
  test("the same approver twice is not two; another one is", async () => {
    const second = await freshKey();
    const scene = await start({ quorum: 2, config: `[operators.second]\nthumbprint = "${second.jkt}"` });
    const id = await holdWrite(scene, "a.txt");
    for (let i = 0; i < 3; i++) {
      const counted = await scene.operator.approve(id);
      expect(counted.body).toMatchObject({ decision: "pending_approval", votes: 1, quorum: 2 });
    }
    const crowd = await Promise.all(Array.from({ length: 10 }, () => scene.operator.approve(id)));
    expect(crowd.every(({ body }) => body.votes === 1)).toBe(true);
    await expectNothingRan(scene);
    expect((await scene.agent.poll(id)).body).toMatchObject({ status: "pending", votes: 1, quorum: 2 });
    const done = await new WireOperator(scene.gate.adminSocket, second, "second").approve(id);
    expect(done.body).toMatchObject({ decision: "executed", approval: { approved_by: "second" } });
    expect(fileOf(scene, "a.txt")).toBe("new a.txt");
  });

  test("one key under two names would be two votes of one person: the gate does not start with it", async () => {
    const scene = await start();
    const { jkt } = await keyFromPem(scene.gate.operatorKey);
    expect(await scene.gate.stop()).toBe(0);
    const config = join(scene.gate.dir, "latchgate.toml");
    await Bun.write(config, `${readFileSync(config, "utf8")}\n[operators.alias]\nthumbprint = "${jkt}"\n`);
    const refused = await scene.gate.run("serve", "--json");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("operator_config_invalid");
    expect(refused.stderr).toContain("alias");
  });

  test("20 approvals at once run the call once", async () => {
    const scene = await start();
    const id = await holdWrite(scene, "a.txt");
    const answers = await Promise.all(Array.from({ length: 20 }, () => scene.operator.approve(id)));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(answers.filter(({ body }) => body.decision === "executed").length).toBe(1);
    expect(answers.filter(({ body }) => body.decision === "already_approved").length).toBe(19);
    expect(await receipts(scene)).toBe(1);
  });

  test("approve and deny at once: one of them wins, and the effect agrees with it", async () => {
    const scene = await start();
    const id = await holdWrite(scene, "a.txt");
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        i % 2 === 0 ? scene.operator.deny(id) : scene.operator.approve(id),
      ),
    );
    const decided = answers.map(({ body }) => body.decision);
    const ran = decided.includes("executed");
    expect(decided.filter((decision) => decision === "executed" || decision === "deny").length).toBe(1);
    expect(fileOf(scene, "a.txt")).toBe(ran ? "new a.txt" : "old a");
  });

  test("a late approval is refused, and the agent reads that its time is over", async () => {
    const scene = await start({ config: "[approvals]\nttl_s = 0.3" });
    const id = await holdWrite(scene, "a.txt");
    await until(
      () => scene.agent.poll(id),
      ({ body }) => body.status === "expired",
    );
    const late = await scene.operator.approve(id);
    expect(late.status === 404 || late.body.decision === "already_expired").toBe(true);
    const again = await scene.operator.approve(id);
    expect(again.body.decision).toBe("already_expired");
    await expectNothingRan(scene);
    const { events } = (await scene.operator.call("GET", "/v1/audit/events?type=approval.decided")).body;
    expect(events).toMatchObject([{ decision: "expire", operator: null }]);
  });

  test("a vote does not stop the clock: with the quorum not met in time nothing runs", async () => {
    const second = await freshKey();
    const scene = await start({
      quorum: 2,
      config: `[approvals]\nttl_s = 0.5\n[operators.second]\nthumbprint = "${second.jkt}"`,
    });
    const id = await holdWrite(scene, "a.txt");
    expect((await scene.operator.approve(id)).status).toBe(200);
    await until(
      () => scene.agent.poll(id),
      ({ body }) => body.status === "expired",
    );
    const late = await new WireOperator(scene.gate.adminSocket, second, "second").approve(id);
    expect(late.body.decision).not.toBe("executed");
    await expectNothingRan(scene);
  });

  test("the one who asks can't approve: neither under its principal nor with its session's key", async () => {
    const own = await freshKey();
    const scene = await start({
      config: `[operators.own]\nthumbprint = "${own.jkt}"\nprincipals = ["uid:${process.getuid?.()}"]`,
    });
    const id = await holdWrite(scene, "a.txt");
    const refused = await new WireOperator(scene.gate.adminSocket, own, "own").approve(id);
    expect([refused.status, refused.body.error]).toEqual([403, "self_approval"]);
    await expectNothingRan(scene);
    expect((await scene.agent.poll(id)).body.status).toBe("pending");
    // With a key that is an operator's there is no session to begin with.
    const asAgent = await WireAgent.connect(scene.gate.clientSocket, { key: own }).catch(
      (error: Error) => error.message,
    );
    expect(asAgent).toContain("403");
    expect(asAgent).toContain("identity_forbidden");
    // It may still say no.
    const denied = await new WireOperator(scene.gate.adminSocket, own, "own").deny(id, "changed my mind");
    expect(denied.body).toMatchObject({ decision: "deny", deny_reason: "changed my mind" });
  });
});
