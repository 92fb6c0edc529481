/** Where the risk is high, what an upstream said about an effect that was not as expected stays with the gate. */
import { expect, test } from "bun:test";
import { answer, startUpstream, withUpstream } from "../e2e/upstream-server.ts";
import { openPolicy, startGate } from "../gate-process.ts";
import { WireAgent, WireOperator } from "../wire-client.ts";

test("an output that failed its verification is withheld from a high-risk call, and shown to a lower one", async () => {
  const upstream = await startUpstream({ "/error": (socket) => answer(socket, 500, '{"oops":"inside"}') });
  try {
    await using gate = await startGate(
      withUpstream(upstream, ["http_delete", "http_post"], { policy: openPolicy() }),
    );
    const agent = await WireAgent.connect(gate.clientSocket);
    const operator = await WireOperator.of(gate);
    const url = `${upstream.origin}/error`;

    const held = (await agent.execute("http_delete", { url })).body;
    const high = await operator.approve(held.approval_id);
    expect(high.status).toBe(502);
    expect(high.body).toMatchObject({
      error: "verification_failed",
      status: "verification_failed",
      dispatched: "yes",
      confirmed: true,
    });
    const answers = [high, await agent.poll(held.approval_id), await agent.receipt(high.body.receipt_id)];
    for (const { text } of answers) expect(text).not.toContain("inside");

    const lower = await agent.execute("http_post", { url, body: 1 });
    expect(lower.body).toMatchObject({
      status: "verification_failed",
      output: { status: 500, json: { oops: "inside" } },
    });
  } finally {
    await upstream.close();
  }
});
