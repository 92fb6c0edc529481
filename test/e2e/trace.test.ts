import { expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPolicy, startGate } from "../gate-process.ts";
import { requireTool } from "../require-tool.ts";
import { strace, traced } from "../strace.ts";
import { startUpstream } from "../upstream.ts";
import { WireAgent } from "../wire-client.ts";

const withStrace = requireTool("strace", "apt-get install strace");

interface Event {
  readonly what: "payload" | "ledger" | "connect" | "upstream" | "client";
  /** Where in the trace the call returned; for bytes that leave, where it began. */
  readonly at: number;
}

/** The system calls that matter, as the kernel saw them; a call that other threads interrupt stands on two lines. */
function eventsOf(lines: readonly string[], port: number, socket: string): Event[] {
  const unfinished = new Map<string, string>();
  const events: Event[] = [];
  for (const [at, line] of lines.entries()) {
    const [, thread = "", text = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (text.includes("<unfinished ...>")) unfinished.set(thread, text);
    const begun = /<\.\.\. \w+ resumed>/.test(text) ? (unfinished.get(thread) ?? "") : text;
    const returned = !text.includes("<unfinished ...>");
    const started = begun === text;
    if (/^f(data)?sync\(/.test(begun) && returned) {
      if (begun.includes("/payloads.db-wal>")) events.push({ what: "payload", at });
      if (begun.includes("/ledger.db-wal>")) events.push({ what: "ledger", at });
    }
    if (!started) continue;
    if (begun.startsWith("connect(") && begun.includes(`htons(${port})`))
      events.push({ what: "connect", at });
    if (/^(sendto|sendmsg|write|writev)\(\d+</.test(begun)) {
      if (begun.includes(`->127.0.0.1:${port}]`)) events.push({ what: "upstream", at });
      if (/<UNIX-STREAM:\[\d+->\d+,"/.test(begun) && begun.includes(socket))
        events.push({ what: "client", at });
    }
  }
  return events;
}

withStrace(
  "a grant is synced before a byte goes to the upstream, and its receipt before a byte of the answer",
  async () => {
    const scratch = mkdtempSync(join(tmpdir(), "latchgate-trace-"));
    try {
      await using upstream = await startUpstream();
      const log = join(scratch, "trace.log");
      await using gate = await startGate({
        policy: openPolicy(),
        ...upstream.setup,
        wrapper: strace(log, "fsync,fdatasync,connect,write,writev,sendto,sendmsg", { decode: true }),
      });
      const agent = await WireAgent.connect(gate.clientSocket);
      // The listener's socket is bound under a passing name beside the one that clients know.
      const socket = join(gate.dir, "runtime");
      for (const fresh of [true, false]) {
        const before = traced(log).length;
        const done = await agent.execute("http_fetch", { url: upstream.url });
        expect(done.status).toBe(200);
        const events = eventsOf(traced(log).slice(before), upstream.port, socket);
        const first = (what: Event["what"]) => events.findIndex((event) => event.what === what);
        const last = (what: Event["what"]) => events.findLastIndex((event) => event.what === what);
        const payloads = events.flatMap(({ what }, i) => (what === "payload" ? [i] : []));
        const ledger = events.flatMap(({ what }, i) => (what === "ledger" ? [i] : []));
        const [granted = Number.NaN, recorded = Number.NaN, ...others] = ledger;
        expect(others).toEqual([]);
        // Payload and grant, then the effect, then output and receipt, then the answer: nothing overtakes.
        const leaves = first(fresh ? "connect" : "upstream");
        expect(granted).toBeLessThan(leaves);
        expect(payloads.some((i) => i < leaves)).toBe(true);
        expect(last("upstream")).toBeGreaterThanOrEqual(leaves);
        expect(last("upstream")).toBeLessThan(recorded);
        expect(payloads.some((i) => i > last("upstream") && i < first("client"))).toBe(true);
        expect(recorded).toBeLessThan(first("client"));
      }
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  },
  60_000,
);
