/**
 * An HTTPS service on loopback, a process of its own: `bun test/bench/upstream.ts <file for its CA> [milliseconds]`. Says
 * its port, answers every GET with about 1 KB of JSON after so many milliseconds, and ends with its standard input.
 */
import { writeFileSync } from "node:fs";
import { issue, makeAuthority } from "../certificates.ts";

/** The name in the upstream's certificate; the gate dials the address of its configuration. */
export const UPSTREAM_HOST = "bench.internal";

if (import.meta.main) {
  const authority = makeAuthority("latchgate bench");
  writeFileSync(process.argv[2] ?? "", authority.certificate);
  const delayMs = Number(process.argv[3] ?? 0);
  const body = JSON.stringify({ text: "x".repeat(1000) });
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: issue(authority, { names: [UPSTREAM_HOST] }),
    fetch: async () => {
      if (delayMs > 0) await Bun.sleep(delayMs);
      return new Response(body, { headers: { "content-type": "application/json" } });
    },
  });
  console.log(server.port);
  for await (const _line of console);
  process.exit(0);
}
